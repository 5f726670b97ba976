"""What the page Health makes of what it is told."""

from __future__ import annotations

import time

import msgspec
import pytest

from layby.console.pages.health_view import (
    Figures,
    HealthView,
    command,
    kept,
    worker_lines,
)
from layby.console.pages.timers import Timer, Timers, on_line
from layby.console.vitals import Examination, Letters
from layby.health.traffic import MailboxRow, StreamRow, Traffic
from layby.runtime.times import iso
from layby.views.rows import Finding
from layby.views.workers import WorkerRow


def view(
    *findings: Finding, mailboxes: tuple[MailboxRow, ...] = (), idle: bool = False
) -> HealthView:
    return HealthView(
        figures=Figures(0, 0, None, 0, 0, 0, None, None),
        examination=Examination(iso(0), list(findings)),
        traffic=Traffic(streams=[], mailboxes=list(mailboxes)),
        letters=Letters([], 0),
        timers=Timers(),
        workers=[],
        apps=[],
        trouble="",
        idle=idle,
    )


def finding(level: str, subject: str = "runs") -> Finding:
    return Finding(level=level, subject=subject, message="m")  # type: ignore[arg-type]


def worker(id_: str, release: str, started: float, *, lost: bool = False) -> WorkerRow:
    return WorkerRow(
        id=id_,
        app="desk",
        host="h",
        pid=1,
        fingerprint=release,
        started_at=iso(started),
        heard_at=iso(9),
        lost=lost,
    )


def test_a_worker_is_older_if_one_that_started_later_has_another_release() -> None:
    rows = [worker("a", "new", 5), worker("b", "old", 1), worker("c", "newest", 9, lost=True)]
    assert {line.id: line.older for line in worker_lines(rows)} == {
        "a": False,
        "b": True,
        "c": True,
    }


def test_a_beat_alone_changes_nothing_on_the_page() -> None:
    row = worker("a", "new", 5)
    later = msgspec.structs.replace(row, heard_at=iso(11))
    assert worker_lines([row]) == worker_lines([later])
    assert worker_lines([msgspec.structs.replace(later, lost=True)])[0].heard == iso(11)


def test_findings_are_sorted_by_how_bad_they_are() -> None:
    shown = view(finding("ok"), finding("warn"), finding("error"), finding("ok"))
    assert [len(each) for each in (shown.errors, shown.warnings, shown.fine)] == [1, 1, 2]


def test_findings_about_single_letters_are_left_to_the_list_of_letters() -> None:
    shown = view(finding("warn", "dead letters"), finding("warn", "desk.opened #26"))
    assert [each.subject for each in shown.warnings] == ["dead letters"]


def test_idle_mailboxes_are_hidden_unless_asked_for() -> None:
    busy, idle = (
        MailboxRow(name=name, stream="RUNS", lag=lag) for name, lag in (("a", 1), ("b", 0))
    )
    assert view(mailboxes=(busy, idle)).mailboxes == [busy]
    assert view(mailboxes=(busy, idle), idle=True).mailboxes == [busy, idle]


def test_a_mailbox_is_stuck_if_messages_wait_and_nobody_takes_them() -> None:
    def box(lag: int = 0, in_flight: int = 0, asking: int = 0) -> MailboxRow:
        return MailboxRow(name="a", stream="RUNS", lag=lag, in_flight=in_flight, asking=asking)

    assert box(lag=1).is_stuck
    assert not box(lag=1, asking=1).is_stuck
    assert not box(lag=1, in_flight=1).is_stuck, "all that workers take at once is in flight"
    assert not box().is_stuck


def test_a_stream_is_scarce_from_seventy_percent_of_its_limit_on() -> None:
    def stream(size: int, limit: int | None) -> StreamRow:
        return StreamRow(name="RUNS", messages=1, size=size, limit=limit)

    assert [stream(size, 100).is_scarce for size in (69, 70)] == [False, True]
    assert stream(10**9, None).full is None
    assert not stream(10**9, None).is_scarce


def test_the_lag_of_all_mailboxes_is_added_up() -> None:
    boxes = [MailboxRow(name=f"{n}", stream="RUNS", lag=n) for n in range(4)]
    assert Traffic(streams=[], mailboxes=boxes).lag == 6


@pytest.mark.parametrize(
    ("advice", "line"),
    [
        ("Start a worker: layby worker APP.", ""),
        ("`layby dead list` shows them; then `layby dead retry ID`.", "layby dead list"),
        ("Raise it: nats stream edit RUNS --max-bytes SIZE.", ""),
        ("Look for its errors in its log.", ""),
        ("", ""),
    ],
)
def test_only_a_command_that_can_be_run_as_it_is_can_be_copied(advice: str, line: str) -> None:
    assert command(advice) == line


def test_timers_lie_on_the_line_of_the_next_hour() -> None:
    now = time.time()
    found = [Timer(iso(now + at), "sleep", "sleep", "r", "T1") for at in (-60, 1800, 7200)]
    assert [x for _, x in on_line(Timers(tuple(found), 3))] == pytest.approx([0, 50, 100], abs=0.5)


def test_how_long_messages_are_kept_is_said_in_days_or_hours() -> None:
    assert [kept(each) for each in (None, 30 * 86400, 7200)] == ["for ever", "30 d", "2 h"]
