"""Times, sizes and statuses on the pages are short, and mean what they say."""

from __future__ import annotations

import time

import pytest

from layby.console.pages import words
from layby.runtime.times import iso


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.061, "61 ms"),
        (0.9996, "1.0 s"),
        (2.34, "2.3 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (5040, "1 h 24 min"),
        (3600, "1 h 00 min"),
        (86400 * 4 + 5, "4 d"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


def test_an_age_is_in_whole_seconds_and_never_negative() -> None:
    now = time.time()
    assert words.since(iso(now + 60)) == "0 s"
    assert words.since(iso(now - 120.5)) == "2 min"
    assert words.until(iso(now - 5)) == "0 s"
    assert words.until(iso(now + 3700)) == "1 h 01 min"


def test_the_share_of_the_time_to_answer_stays_within_bounds() -> None:
    now = time.time()
    assert float(words.share(iso(now - 50), iso(now + 50))) == pytest.approx(50, abs=1)
    assert words.share(iso(now - 100), iso(now - 50)) == "100.0"
    assert words.share(iso(now + 50), iso(now + 100)) == "0.0"
    assert words.share(iso(now - 50), iso(now - 50)) == "100.0"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_500, "1.5 KB"),
        (9_960, "10 KB"),
        (21_000, "21 KB"),
        (999_400, "999 KB"),
        (999_500, "1.0 MB"),
        (1024 * 1024 - 1, "1.0 MB"),
        (7.4e9, "7.4 GB"),
        (3e12, "3.0 TB"),
    ],
)
def test_a_size_has_two_digits_at_least(count: float, shown: str) -> None:
    assert words.size(count) == shown


def test_small_sums_show_four_digits_and_large_ones_two() -> None:
    assert words.money(0.0046) == "$0.0046"
    assert words.money(1234.5) == "$1,234.50"


def test_a_count_agrees_with_its_noun() -> None:
    assert words.plural(1, "run") == "1 run"
    assert words.plural(1200, "run") == "1,200 runs"
    assert words.plural(2, "reply", "replies") == "2 replies"


def test_every_status_has_a_word_and_a_shape_even_an_unknown_one() -> None:
    assert words.look("max_turns").word == "turn limit"
    assert words.look("not_yet_known") == words.Look("not yet known", "m-dot", "parked")


def test_a_text_is_cut_after_its_first_line() -> None:
    assert words.short("one\ntwo", 10) == "one"
    assert words.short("a long line", 6) == "a lon…"


def test_code_in_advice_is_marked_and_the_rest_stays_text() -> None:
    assert words.with_code("run `layby <b>` now") == "run <code>layby &lt;b&gt;</code> now"
    assert words.with_code("an odd ` one") == "an odd ` one"
    assert "\\u202e" in words.with_code("a\u202eb")
