"""Which frame a mail of a run's log wakes, and which mail is handled by that."""

from __future__ import annotations

import pytest

from layby.runtime.addressee import Handling, addressee, handling
from layby.runtime.ask_back_records import AskedBack
from layby.runtime.entry import (
    ROOT,
    Answered,
    Arrived,
    Blocked,
    Cancelled,
    Ended,
    Expired,
    Joined,
    Raw,
    Record,
    Reopened,
    Resumed,
    Retried,
    Returned,
    Slept,
    Unblocked,
    Voted,
    Woken,
)
from tests.unit.test_journal import BAD, STARTED, History, asked, called, stepped

CHILD = f"{ROOT}/team"


def voted() -> Voted:
    return Voted(id="q1", role="developer", text="yes", by="ada", at=1.0, seq=1, vouched="nats")


def asked_back() -> AskedBack:
    return AskedBack(
        id="q1", role="developer", by="ada", at=1.0, seq=1, vouched="nats", text="why?"
    )


def blocked(cause: int = 1, frame: str = ROOT) -> Blocked:
    return Blocked(cause=cause, frame=frame, kind="key", reason="no key", needs="set one")


def woken_by(history: History, record: Record) -> str | None:
    found = addressee(history.state, record)
    return None if found is None else found.id


@pytest.mark.parametrize(
    ("record", "frame"),
    [
        (STARTED, ROOT),
        (Reopened(by="ada"), ROOT),
        (called(), CHILD),
        (Returned(frame=CHILD), ROOT),
        (Answered(id="q1", text="yes"), CHILD),
        (Expired(id="q1"), CHILD),
        (voted(), CHILD),
        (asked_back(), CHILD),
        (Woken(frame=CHILD, key="nap"), CHILD),
        (Arrived(frame=ROOT, key="paid", event=Raw(b"1")), ROOT),
        (Joined(frame=CHILD, key="other"), CHILD),
        (Retried(frame=CHILD), CHILD),
    ],
)
def test_a_mail_wakes_the_frame_that_waits_for_it(record: Record, frame: str) -> None:
    history = History(called(), asked(frame=CHILD))
    assert woken_by(history, record) == frame


@pytest.mark.parametrize(
    "record",
    [
        stepped(),
        Slept(frame=ROOT, key="nap", until=9.0),
        Cancelled(),
        Ended(status="failed"),
        Returned(frame=f"{ROOT}/nobody"),
        Returned(frame=ROOT),
        Answered(id="q9", text="yes"),
        Woken(frame=f"{ROOT}/nobody", key="nap"),
        called("unknown"),
    ],
)
def test_what_nobody_waits_for_wakes_nobody(record: Record) -> None:
    assert woken_by(History(asked()), record) is None


def test_an_ordinary_mail_is_handled_as_itself() -> None:
    history = History(asked())
    n = history.add(Answered(id="q1", text="yes"))
    assert handling(history.state, n, Answered(id="q1", text="yes")) == Handling(
        history.state.root, n
    )


def test_a_frame_that_is_done_is_not_entered_again() -> None:
    history = History(called(), Returned(frame=CHILD))
    assert handling(history.state, 2, called()) is None


def test_a_blocked_mail_is_left_to_the_mail_that_unblocks_it() -> None:
    history = History(blocked())
    assert handling(history.state, 1, STARTED) is None
    unblocked = Unblocked(cause=1)
    n = history.add(unblocked)
    assert handling(history.state, 1, STARTED) is None
    assert handling(history.state, n, unblocked) == Handling(history.state.root, 1)


def test_of_two_that_unblock_a_mail_only_the_first_handles_it() -> None:
    history = History(blocked())
    first = history.add(Unblocked(cause=1))
    second = history.add(Unblocked(cause=1))
    assert handling(history.state, first, Unblocked(cause=1)) is not None
    assert handling(history.state, second, Unblocked(cause=1)) is None
    assert handling(history.state, second, Unblocked(cause=7)) is None


def test_a_resumed_frame_is_handled_for_what_reopened_it_and_once() -> None:
    history = History(called(), stepped("team/model", error=BAD))
    history.add(Ended(status="failed", error="down"))
    reopened = history.add(Reopened(by="ada"))
    resumed = history.add(Resumed(frame=CHILD))
    again = history.add(Resumed(frame=CHILD))
    child = history.state.frames[CHILD]
    assert handling(history.state, resumed, Resumed(frame=CHILD)) == Handling(child, reopened)
    assert handling(history.state, again, Resumed(frame=CHILD)) is None
    assert handling(history.state, again, Resumed(frame="nobody")) is None
