"""Quiet hours: in every zone, across midnight, and across the nights when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.runtime.errors import InvalidSetup
from layby.runtime.quiet import quiet_hours

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = quiet_hours("22:00-07:00 Europe/Berlin", "role 'developer'")
LUNCH = quiet_hours("12:00-13:30 Europe/Berlin", "role 'developer'")


def local(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-29 21:59:59", "2026-11-29 21:59:59"),
        ("2026-11-29 22:00", "2026-11-30 07:00"),
        ("2026-11-29 23:59", "2026-11-30 07:00"),
        ("2026-11-30 00:00", "2026-11-30 07:00"),
        ("2026-11-30 06:59:59", "2026-11-30 07:00"),
        ("2026-11-30 07:00", "2026-11-30 07:00"),
    ],
)
def test_a_night_ends_in_the_morning(at: str, until: str) -> None:
    assert NIGHT.until(local(at)) == local(until)


def test_hours_within_a_day_end_on_that_day() -> None:
    assert LUNCH.until(local("2026-11-29 12:00")) == local("2026-11-29 13:30")
    assert LUNCH.until(local("2026-11-29 13:30")) == local("2026-11-29 13:30")


def test_the_clock_on_the_wall_counts_when_it_is_changed() -> None:
    spring, autumn = local("2026-03-28 22:00"), local("2026-10-24 22:00")
    assert NIGHT.until(spring) - spring == 8 * 3600
    assert NIGHT.until(autumn) - autumn == 10 * 3600


def test_an_end_that_comes_twice_is_never_in_the_past() -> None:
    hours = quiet_hours("01:00-02:30 Europe/Berlin", "role 'developer'")
    first, second = local("2026-10-25 02:10"), local("2026-10-25 02:10", fold=1)
    assert hours.until(first) == local("2026-10-25 02:30")
    assert hours.until(second) == local("2026-10-25 02:30", fold=1)


def test_an_end_that_does_not_exist_comes_when_the_clock_jumps() -> None:
    hours = quiet_hours("01:00-02:30 Europe/Berlin", "role 'developer'")
    assert hours.until(local("2026-03-29 01:30")) == local("2026-03-29 03:30")


_TIMES = st.floats(0, 4e9)
_ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
_CLOCKS = st.times().map(lambda each: each.strftime("%H:%M"))


@given(_TIMES, _CLOCKS, _CLOCKS, _ZONES)
def test_what_is_held_ends_within_a_day_and_a_bit(
    at: float, start: str, end: str, zone: str
) -> None:
    if start == end:
        return
    until = quiet_hours(f"{start}-{end} {zone}", "a role").until(at)
    assert at <= until <= at + timedelta(hours=26).total_seconds()
    if until > at:
        shown = datetime.fromtimestamp(until, UTC).astimezone(ZoneInfo(zone))
        assert (
            shown.strftime("%H:%M") == end
            or shown.dst() != datetime.fromtimestamp(until - 7200, ZoneInfo(zone)).dst()
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "22-7 Europe/Berlin",
        "22:00-07:00",
        "25:00-07:00 Europe/Berlin",
        "22:00-22:00 Europe/Berlin",
        "22:00-07:00 Mars/Olympus",
        "22:00-07:00 ../../etc/passwd",
        "22:00-07:00 Europe/Berlin\n",
    ],
)
def test_what_cannot_be_read_is_refused_with_the_role(text: str) -> None:
    with pytest.raises(InvalidSetup, match="role 'developer'"):
        quiet_hours(text, "role 'developer'")
