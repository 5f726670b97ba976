from __future__ import annotations

from datetime import UTC, datetime

import pytest

from layby.cli.screen import times
from layby.cli.screen.errors import UsageError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-03-01T11:59:59.500Z", "just now"),
        ("2026-03-01T11:59:48Z", "12 s ago"),
        ("2026-03-01T11:57:00Z", "3 min ago"),
        ("2026-03-01T09:00:00Z", "3 h ago"),
        ("2026-02-27T12:00:00Z", "2 d ago"),
        ("2026-03-01T12:00:05Z", "just now"),
    ],
)
def test_ago(at: str, shown: str) -> None:
    assert times.ago(at, since=NOON) == shown


@pytest.mark.parametrize(
    ("deadline", "shown"),
    [
        ("2026-03-01T16:00:00Z", "4 h left"),
        ("2026-03-01T15:59:58Z", "4 h left"),
        ("2026-03-01T12:00:10Z", "10 s left"),
        ("2026-03-01T12:00:00.2Z", "1 s left"),
        ("2026-03-01T12:00:00Z", "overdue"),
    ],
)
def test_left(deadline: str, shown: str) -> None:
    assert times.left(deadline, since=NOON) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0.00s"), (0.444, "0.44s"), (59, "59.0s"), (200, "3:20"), (14401, "4:00:01")],
)
def test_offset(seconds: float, shown: str) -> None:
    assert times.offset(seconds) == shown


def test_a_time_without_a_zone_is_utc() -> None:
    assert times.parse("2026-03-01T12:00:00") == NOON


def test_clock_names_another_day() -> None:
    assert times.clock("2026-03-04T12:00:00Z", since=NOON).startswith("04 Mar ")
    assert " " not in times.clock("2026-03-01T12:00:10Z", since=NOON)


@pytest.mark.parametrize("text", ["", "soon", "10", "-4h", "0s"])
def test_a_bad_duration_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        times.duration(text)


def test_duration() -> None:
    assert times.duration("1h30m") == 5400
