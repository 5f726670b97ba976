"""What became of a question, as the page of its run tells it."""

from __future__ import annotations

from typing import Any, cast

from layby.bus.log import LogMessage
from layby.client import Client
from layby.console.login.session import Rights
from layby.console.waterfall.thread import Thread, threads
from layby.console.waterfall.watched import WatchedRun
from layby.runtime.act_records import Passed
from layby.runtime.entry import (
    NULL,
    Answered,
    Asked,
    Cancelled,
    Ended,
    Expired,
    Raw,
    Record,
    Started,
)
from layby.runtime.envelope import Envelope, encode
from layby.runtime.quorum import Quorum

STARTED = Started(workflow="ask", actor="workflow-ask", version="1", ticket="T1", event=Raw(b"{}"))


def asked(**fields: Any) -> Asked:
    return Asked(
        frame="w",
        key="ask",
        id="q1",
        role="developer",
        question="Well?",
        deadline=1_000.0,
        **fields,
    )


def answered(by: str, text: str = "yes") -> Answered:
    return Answered(id="q1", text=text, by=by, seq=1, at=20.0)


def thread(*records: Record) -> Thread:
    run = WatchedRun(cast("Client", None), "r1")
    for n, record in enumerate((STARTED, *records), 1):
        envelope = Envelope(op=f"{n}", at=10.0 * n, records=[record])
        run.take(LogMessage(n=n, to="log", data=encode(envelope)))
    [found] = threads(run)
    return found


def told(found: Thread) -> list[str]:
    return [moment.what for moment in found.moments]


def test_an_open_question_ends_with_its_deadline() -> None:
    found = thread(asked())
    assert found.open
    assert told(found) == ["asked", "deadline"]


def test_the_answer_that_counts_closes_it() -> None:
    found = thread(asked(), answered("ada"), answered("bob", "no"))
    assert not found.open
    assert found.by == "ada"
    assert told(found) == ["asked", "answered", "refused"]
    assert found.moments[2].by == "bob"
    assert "closed before" in found.moments[2].why


def test_an_answer_that_does_not_count_leaves_it_open_and_says_why() -> None:
    found = thread(asked(accept=["signature"]), answered("eve"))
    assert found.open
    assert found.by == ""
    assert told(found) == ["asked", "refused", "deadline"]
    assert found.moments[1].why


def test_nobody_answered() -> None:
    found = thread(asked(), Expired(id="q1"))
    assert not found.open
    assert told(found) == ["asked", "expired"]


def test_a_question_is_withdrawn_when_its_run_ends() -> None:
    ends: list[Record] = [
        Cancelled(reason="no longer needed"),
        Ended(status="failed", result=NULL, error="it broke"),
    ]
    for end in ends:
        found = thread(asked(), end)
        assert not found.open
        assert told(found) == ["asked", "withdrawn"]
        assert found.node.note == "withdrawn"


def test_every_role_that_is_asked_is_named_and_may_answer() -> None:
    groups = Quorum(number=2, groups={"developer": 1, "legal": 1})
    passed = Passed(
        id="q1", role="", by="ada", at=15.0, seq=2, vouched="nats", rung=0, to="role:lead"
    )
    found = thread(asked(quorum=groups), passed)
    assert found.roles == ("developer", "legal", "lead")
    assert Rights(roles=frozenset({"lead"})).answers_one_of(found.roles)
    assert not Rights(roles=frozenset({"sales"})).answers_one_of(found.roles)
