"""What a person has chosen to see of a run is in the address, and nothing else is."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.console.waterfall.look import Look

ids = st.from_regex(r"[1-9][0-9]{0,4}\.[0-9]{1,2}", fullmatch=True)


def read(look: Look) -> Look:
    """The look that its own query leads to."""
    return Look.of(dict(parse_qsl(look.query.removeprefix("?"))))


@st.composite
def looks(draw: st.DrawFn) -> Look:
    """Everything chosen."""
    begin = draw(st.integers(0, 10**6))
    return Look(
        begin=begin,
        until=begin + draw(st.integers(1, 10**6)),
        row=draw(ids),
        true_scale=draw(st.booleans()),
        shut=draw(st.frozensets(ids)),
        block=draw(st.none() | st.integers(0, 999)),
    )


@given(looks())
def test_the_query_says_everything(look: Look) -> None:
    assert read(look) == look


def test_nothing_chosen_is_no_query() -> None:
    assert Look().query == ""


@pytest.mark.parametrize(
    "query",
    [
        {"from": "x", "to": "9"},
        {"from": "9", "to": "9"},
        {"from": "-1", "to": "9"},
        {"from": "1"},
        {"from": "1", "to": "9" * 99},
        {"block": "٣"},
        {"scale": "false"},
    ],
)
def test_what_makes_no_sense_is_ignored(query: dict[str, str]) -> None:
    assert Look.of(query) == Look()


def test_zooming_in_halves_what_is_shown_around_its_middle() -> None:
    once = Look().zoomed(0.5, 1000)
    assert (once.begin, once.until) == (250, 750)
    twice = once.zoomed(0.5, 1000)
    assert (twice.begin, twice.until) == (375, 625)


def test_zooming_out_ends_with_the_whole_run() -> None:
    assert Look(begin=250, until=750).zoomed(2, 1000) == Look()


def test_one_can_zoom_in_for_ever() -> None:
    look = Look()
    for _ in range(60):
        look = look.zoomed(0.5, 1000)
        assert look.begin is not None
        assert look.until is not None
        assert look.begin < look.until


def test_a_row_collapses_and_expands() -> None:
    shut = Look().toggled("1.1")
    assert shut.shut == {"1.1"}
    assert shut.toggled("1.1") == Look()
