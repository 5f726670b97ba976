from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.errors import LaybyError
from layby.runtime.duration import LONGEST, InvalidDuration, human, seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("4h", 14_400),
        ("1h30m", 5_400),
        ("1h30min", 5_400),
        ("1 h 30 min", 5_400),
        ("90s", 90),
        ("250ms", 0.25),
        ("1s500ms", 1.5),
        ("2d", 172_800),
        ("1w", 604_800),
        ("1.5h", 5_400),
        ("5m", 300),
        ("5ms", 0.005),
        (" 10s ", 10),
        ("PT4H", 14_400),
        ("P1DT2H3M4.5S", 93_784.5),
        ("P2W", 1_209_600),
        (timedelta(hours=4), 14_400),
        (90, 90),
        (0.25, 0.25),
    ],
)
def test_spellings(value: str | float | timedelta, expected: float) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize("value", ["90", "1.5", "0"])
def test_a_bare_number_has_no_unit(value: str) -> None:
    with pytest.raises(InvalidDuration, match=r"does not say its unit. Write it as \"4h\""):
        seconds(value)


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "h", "4", "4x", "-4h", "30m1h", "4h4h", "4H", "1M", "P", "PT", "P1Y", "P1M"),
        *("P1DT", "4h\n5", "\u0664h", "1e3s", "4,5h", "soon", None, True, b"4h", [4], "x" * 9999),
    ],
)
def test_anything_else_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match='Write it as "4h"') as caught:
        seconds(value)
    assert isinstance(caught.value, LaybyError)
    assert len(str(caught.value)) < 260


@pytest.mark.parametrize("value", [0, "0s", -1, -0.5, timedelta(seconds=-1)])
def test_must_be_more_than_zero(value: str | float | timedelta) -> None:
    with pytest.raises(InvalidDuration, match="more than zero"):
        seconds(value)


def test_zero_where_it_is_allowed() -> None:
    assert seconds("0s", allow_zero=True) == 0
    assert seconds(0, allow_zero=True) == 0
    with pytest.raises(InvalidDuration, match="not be negative"):
        seconds(-1, allow_zero=True)


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), LONGEST + 1, "9" * 400 + "w", timedelta(days=40_000)]
)
def test_longer_than_a_deadline_can_be(value: str | float | timedelta) -> None:
    with pytest.raises(InvalidDuration, match="over 100 years"):
        seconds(value)


def test_the_longest_makes_a_valid_date() -> None:
    assert (datetime.now(UTC) + timedelta(seconds=LONGEST)).year < 9999


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (14_400, "4 h"),
        (5_400, "1 h 30 min"),
        (10, "10 s"),
        (10.52, "10.5 s"),
        (0.25, "250 ms"),
        (0.9996, "1 s"),
        (59.96, "1 min"),
        (90, "1 min 30 s"),
        (3_599.6, "1 h"),
        (86_399, "1 d"),
        (93_784, "1 d 2 h"),
        (604_800, "7 d"),
        (0, "0 s"),
        (0.0001, "0 s"),
        (-90, "-1 min 30 s"),
    ],
)
def test_human(amount: float, text: str) -> None:
    assert human(amount) == text


@given(st.floats(min_value=0.001, max_value=LONGEST))
def test_what_people_read_can_be_read_back(amount: float) -> None:
    assert seconds(human(amount)) == pytest.approx(amount, rel=0.06, abs=0.0006)
