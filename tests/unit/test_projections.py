"""What logs look like as events, timeline lines and rows: byte for byte as in tests/snapshots.

`python -m tests.unit.test_projections` writes the snapshots, for a change that is meant to show.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from layby.actors.threads.turn import CallOutcome, Decision, NetworkResult, TurnResult
from layby.bus.blobs import Blobs
from layby.bus.log import LogMessage
from layby.bus.log_subject import NOBODY
from layby.runtime import entry
from layby.runtime.act_records import ClaimedQuestion, Declined, Passed
from layby.runtime.ask_back_records import AskedBack, Replied
from layby.runtime.card_records import Notified, Undelivered
from layby.runtime.code_place import Place
from layby.runtime.entry import ROOT, Failure, Raw, Record
from layby.runtime.envelope import Envelope, encode
from layby.runtime.ladder_records import Laddered, PlannedRung, Reached
from layby.runtime.opened_records import OpenedQuestion
from layby.runtime.quorum import Quorum
from layby.runtime.spent import Spent
from layby.runtime.unseen_records import Claimed, Removed
from layby.testing import History
from layby.views.event_projection import EventProjection
from layby.views.timeline import TimelineProjection
from tests.scripted import calls, says

HISTORIES = Path(__file__).parents[1] / "histories"
SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
EVERY_RECORD = "every_record"
NAMES = sorted(str(path.relative_to(HISTORIES))[:-5] for path in HISTORIES.rglob("*.json"))
TEAM, TURN, SOLO = "w/team", "w/team/turn#0.0", "w/solo"
BAD = Failure(
    type="OSError", message="down", place=Place(file="a.py", line=1, function="f"), causes=["E"]
)


class Values:
    """The big values of a history."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    async def inflate(self, raw: Raw) -> Raw:
        if not bytes(raw).startswith(b'{"$blob":'):
            return raw
        return json(self._values[msgspec.json.decode(raw)["$blob"]])


def json(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def step(frame: str, key: str, value: Any = None, **more: Any) -> entry.Stepped:
    return entry.Stepped(frame=frame, key=key, result=json(value), ms=12.34567, **more)


def response(kind: Any = None, **more: Any) -> dict[str, Any]:
    return {**msgspec.to_builtins(kind if kind is not None else says("Hello")), **more}


BIG = response(calls(("big", {"a": 1})))
EVERY: list[Record] = [
    entry.Started(workflow="desk", actor="workflow-desk", version="1", ticket="T1", event=json(7)),
    step(ROOT, "look", {"a": [1, "é"]}),
    step(ROOT, "look#1", 1, note="a note"),
    step(ROOT, "tool#0.0", "a user's own name"),
    step(ROOT, "long", "x" * 1000),
    step(ROOT, "put away", {"$blob": "text", "size": 9}),
    entry.Failed(frame=ROOT, key="pay", error=BAD, retry_at=60.0),
    entry.Woken(frame=ROOT, key="pay"),
    entry.Stepped(frame=ROOT, key="pay", error=BAD),
    entry.Called(frame=ROOT, key="team", child=TEAM, actor="network-team", note="team"),
    step(
        TEAM,
        "route#0/model#0",
        response(calls(("look", {"a": 1}), ("done", {})), by="boss"),
        note="look(a=1)",
    ),
    step(TEAM, "route#0/tool#0.0", CallOutcome(content="seen"), note="look: seen"),
    step(TEAM, "route#0/tool#0.0/inner", 1),
    step(TEAM, "route#0/model#1", response(calls(("route_to_agent", {})), by="boss"), note="x"),
    step(TEAM, "route#0/response#1", {}),
    step(TEAM, "route#0", Decision(agents=["Anna"], by="boss", summary="why"), note="Anna\nmore"),
    step(TEAM, "route#1", Decision(agents=[], by="boss"), note="nobody"),
    step(TEAM, "finish#0", {}),
    entry.Called(frame=TEAM, key="turn#0.0", child=TURN, actor="agent-anna", note="Anna"),
    step(TURN, "model#0", response(calls(("look", {}), ("pay", {"n": 2}))), note="look(); pay()"),
    step(TURN, "before#0.0", {}),
    step(TURN, "approve#0.1", {}),
    step(TURN, "tool#0.0", CallOutcome(content="found: it"), note="look: found: it"),
    step(TURN, "tool#0.1/charge", "paid"),
    entry.Slept(frame=TURN, key="tool#0.1/sleep", until=60.0),
    entry.Withdrawn(frame=TURN, key="tool#0.1/sleep"),
    step(TURN, "tool#0.1", CallOutcome(content="no", is_error=True), note="pay: no"),
    step(TURN, "failed#0.1", {}),
    step(TURN, "after#0.1", {}),
    step(TURN, "response#0", {}),
    step(TURN, "model#1", {"$blob": "response", "size": 9}, note="big"),
    step(TURN, "tool#1.0", CallOutcome(content="it is"), note="big: it is"),
    step(TURN, "tool#1.0/inner", 1),
    step(TURN, "tool#7.0", CallOutcome(content="of no response"), note="lost: of no response"),
    entry.Stepped(frame=TURN, key="model#2", error=BAD),
    entry.Stepped(frame=TURN, key="tool#0.1", error=BAD),
    entry.Asked(
        frame=TURN,
        key="tool#0.0/ask",
        id="q1",
        role="developer",
        question="Known?",
        context="c",
        agent="Anna",
        deadline=1000.0,
        form={"type": "string"},
    ),
    Laddered(
        id="q1",
        rungs=[
            PlannedRung(kind="asked", at=1.0, rota="dev"),
            PlannedRung(kind="reminder", at=2.0),
            PlannedRung(kind="escalation", at=3.0, to="role:lead"),
        ],
    ),
    Reached(id="q1", rung=0, nobody=True),
    Reached(id="q1", rung=1, told=["bob"], absent={"bob": "ada"}),
    Reached(id="q1", rung=2, early=True),
    Reached(id="q1", rung=9),
    Reached(id="q9", rung=0),
    entry.Answered(id="q0", text="to nothing"),
    entry.Answered(id="q1", text="Yes", by="ada", vouched="nats"),
    entry.Answered(id="q1", text="Late", by="bob"),
    entry.Asked(frame=ROOT, key="ask", id="q2", role="lead", question="Go?", deadline=1000.0),
    entry.Expired(id="q2"),
    entry.Expired(id="q9"),
    entry.Asked(
        frame=ROOT,
        key="sign",
        id="q3",
        role="lead",
        question="Sign?",
        deadline=1000.0,
        accept=["signature"],
    ),
    entry.Answered(id="q3", text="Yes", by="eve", vouched="signature"),
    entry.Withdrawn(frame=ROOT, key="sign"),
    entry.Proposed(
        frame=ROOT,
        key="pay",
        id="q4",
        role="lead",
        question="Pay?",
        deadline=1000.0,
        form={"type": "boolean"},
        accept=["nats"],
        quorum=Quorum(number=2, people={"lead": ["ada", "bob", "eve"]}),
    ),
    entry.Voted(id="q4", role="lead", text="yes", by="ada", at=1.0, seq=1, vouched="nats"),
    entry.Voted(id="q4", role="lead", text="yes", by="ada", at=2.0, seq=2, vouched="nats"),
    entry.Voted(id="q4", role="lead", text="true", by="bob", at=3.0, seq=3, vouched="nats"),
    entry.Proposed(
        frame=ROOT,
        key="both",
        id="q5",
        role="lead",
        question="Both?",
        deadline=1000.0,
        form={"enum": ["a", "b"]},
        accept=["nats"],
        quorum=Quorum(number=2, groups={"lead": 1, "legal": 1}, people={"legal": ["dan"]}),
    ),
    entry.Voted(id="q5", role="legal", text="a", by="dan", at=1.0, seq=4, vouched="nats"),
    entry.Voted(id="q5", role="lead", text="b", by="ada", at=1.0, seq=5, vouched="nats"),
    entry.Voted(id="q9", role="lead", text="yes", by="ada", at=1.0, seq=6, vouched="nats"),
    entry.Returned(frame=TURN, result=json(TurnResult(agent="Anna", text="Fixed", stop="done"))),
    entry.Returned(
        frame=TEAM,
        result=json(NetworkResult[Any](network="team", text="Fixed", status="max_turns")),
    ),
    entry.Called(frame=ROOT, key="solo", child=SOLO, actor="agent-bob"),
    entry.Returned(frame=SOLO, error=BAD),
    entry.Slept(frame=ROOT, key="sleep", until=60.0),
    entry.Woken(frame=ROOT, key="sleep"),
    entry.Awaited(frame=ROOT, key="paid", subject="shop.paid", match={"id": 1, "b": "x"}),
    entry.Arrived(frame=ROOT, key="paid", event=json({"id": 1})),
    entry.Awaited(frame=ROOT, key="paid#1", subject="shop.paid"),
    entry.Spawned(frame=ROOT, key="child", run="r2", workflow="other", event=json(1)),
    entry.Joined(frame=ROOT, key="child", result=json({"ok": True})),
    entry.Joined(frame=ROOT, key="child#1", error=BAD),
    entry.Blocked(cause=3, frame=TURN, key="tool#0.1", kind="key", reason="no key", needs="Add it"),
    entry.Blocked(cause=3, frame=ROOT, kind="code", reason="changed", needs="Put it back"),
    entry.Unblocked(cause=3, by="ada", why="added"),
    entry.Unblocked(cause=3),
    entry.Retried(frame=TURN, steps=["tool#0.1", "approve#0.1"], input=json({"a": 1})),
    entry.Retried(frame=ROOT, whole=True, event=json({"a": 1}), question="q2"),
    entry.Resumed(frame=ROOT),
    entry.Ended(status="failed", error="down", failure=BAD),
    entry.Reopened(by="ada", why="try it"),
    entry.Cancelled(reason="a mistake", by="ada"),
    entry.Cancelled(),
    entry.Ended(status="completed", result=json({"a": 1})),
    entry.Ended(status="failed", error="no good"),
    ClaimedQuestion(id="q1", by="ada", at=1.0, seq=7, vouched="nats", until=1801.0),
    ClaimedQuestion(id="q1", by="ada", at=2.0, seq=8, vouched="slack", until=2.0),
    Passed(id="q1", by="ada", at=3.0, seq=9, vouched="nats", rung=3, to="role:lead", nobody=True),
    Passed(
        id="q1", by="bob", at=4.0, seq=10, vouched="nats", rung=4, to="person:eve", told=["eve"]
    ),
    Declined(id="q9", by="eve", at=5.0, seq=11, vouched="nats"),
    Reached(id="q1", rung=1, told=["ada"], claimed=True),
    Notified(id="q1", role="developer", channel="slack", status="held", until=2.0),
    Notified(id="q1", role="developer", channel="slack", status="sent", ref="C1/17", seq=4),
    Notified(id="q1", role="developer", channel="email", status="failed", reason="refused", seq=4),
    Notified(id="q1", role="lead", channel="slack", rung=2, status="failed", reason="gone", seq=5),
    Undelivered(id="q1", role="lead", rung=2),
    entry.Addressed(
        frame=ROOT,
        key="alone",
        id="q4a",
        role="lead",
        question="Alone?",
        deadline=1000.0,
        accept=["nats"],
        only="ada",
    ),
    AskedBack(id="q1", role="developer", by="ada", at=6.0, seq=12, vouched="nats", text="Why?"),
    Replied(id="q1", seq=12, kind="agent", by="Anna", text="Because.", spent=Spent(input_tokens=1)),
    Replied(id="q1", seq=13, kind="code", text="it failed", failed=True),
    OpenedQuestion(id="q1", by="ada", at=6.0, seq=12, vouched="nats", channel="console"),
]


def messages_of(name: str) -> tuple[list[LogMessage], dict[str, Any]]:
    if name == EVERY_RECORD:
        found = [
            LogMessage(n, NOBODY, encode(Envelope(op=str(n), at=float(n), records=[record])))
            for n, record in enumerate(EVERY, 1)
        ]
        return found, {"response": BIG, "text": "y" * 400}
    history = History.load(HISTORIES / f"{name}.json")
    found = [LogMessage(e.n, e.to, msgspec.json.encode(e.entry)) for e in history.messages]
    return found, history.values


async def snapshot(name: str) -> str:
    messages, values = messages_of(name)
    events = EventProjection("run", cast("Blobs", Values(values)))
    timeline = TimelineProjection("run")
    lines: list[str] = []
    for message in messages:
        shown: list[Any] = [*await events.project(message)]
        for line, row in timeline.project(message):
            shown += [line, row]
        lines += [f"{type(each).__name__} {msgspec.json.encode(each).decode()}" for each in shown]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("name", [EVERY_RECORD, *NAMES])
async def test_a_log_looks_as_it_did(name: str) -> None:
    path = SNAPSHOTS / f"{name}.txt"
    assert (await snapshot(name)).encode() == path.read_bytes()


def test_every_kind_of_record_is_in_the_log() -> None:
    unseen = {Claimed, Removed}  # neither makes an event or a line
    kinds = set(entry.Record.__args__)
    assert {type(record) for record in EVERY} == kinds - unseen


def main() -> None:
    for name in [EVERY_RECORD, *NAMES]:
        path = SNAPSHOTS / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(asyncio.run(snapshot(name)).encode())


if __name__ == "__main__":
    main()
