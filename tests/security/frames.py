"""Messages of whatever bytes, on every subject that an app has: what an attacker might send."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from layby.actors.people.answer import Receipt
from layby.actors.people.open_questions import OpenQuestion
from layby.actors.people.parked_question import parked_question
from layby.actors.people.tickets import ParkedRecord
from layby.actors.threads.turn import Said
from layby.actors.workflows.event_waits import Shapes, Wait, Waits
from layby.bus.dead import DeadLetter
from layby.bus.errors import BusError
from layby.bus.log_subject import partition
from layby.commands import Command
from layby.runtime.act_records import ClaimedQuestion, Declined, Passed
from layby.runtime.ask_back_records import AskedBack, Replied
from layby.runtime.blocked_runs import BlockedRow
from layby.runtime.code_place import Place
from layby.runtime.entry import (
    Answered,
    Arrived,
    Asked,
    Awaited,
    Blocked,
    Called,
    Cancelled,
    Ended,
    Expired,
    Failed,
    Failure,
    Joined,
    Origin,
    Raw,
    Record,
    Reopened,
    Resumed,
    Retried,
    Returned,
    Slept,
    Spawned,
    Started,
    Stepped,
    Unblocked,
    Withdrawn,
    Woken,
)
from layby.runtime.envelope import Envelope
from layby.runtime.index import IndexRow
from layby.runtime.opened_records import OpenedQuestion
from layby.runtime.ports import Due
from layby.runtime.state import Question, RunState
from layby.runtime.streaming import TextDelta

RUN = "0123456789abcdef0123"
"""A run that never began."""
TIME = "2026-01-01T00:00:00.000Z"
EVIL = Failure(type="E", message="down", place=Place(file="a.py", line=1, function="f"))
RECORDS: list[Record] = [
    Started(
        workflow="handle",
        actor="workflow-handle",
        version="1",
        ticket="T1",
        event=Raw(b'{"a":1}'),
        parent=Origin(run=RUN, frame="w", key="k"),
        seq=3,
        on="desk.opened",
    ),
    Stepped(frame="w", key="a", result=Raw(b"[1,2]"), ms=1.5, note="n"),
    Failed(frame="w", key="b", error=EVIL, retry_at=9.0),
    Called(frame="w", key="hive", child="w/hive", actor="network-hive", input=Raw(b"{}")),
    Asked(frame="w", key="ask", id="q1", role="developer", question="?", deadline=9.5),
    Answered(id="q1", text="yes", by="ada", at=5.0, seq=7),
    AskedBack(id="q1", role="developer", by="ada", at=5.0, seq=8, vouched="nats", text="Why?"),
    Replied(id="q1", seq=8, kind="agent", by="triage", text="So."),
    ClaimedQuestion(id="q1", by="ada", at=5.0, seq=7, vouched="nats", until=1805.0),
    Passed(id="q1", by="ada", at=6.0, seq=8, vouched="nats", rung=0, to="role:lead"),
    Declined(id="q1", by="ada", at=7.0, seq=9, vouched="slack"),
    OpenedQuestion(id="q1", by="eve", at=8.0, seq=10, vouched="nats", channel="console"),
    Expired(id="q1"),
    Slept(frame="w", key="sleep", until=9.0),
    Woken(frame="w", key="sleep"),
    Awaited(frame="w", key="said", subject="desk.said", match={"ticket": "T1"}),
    Arrived(frame="w", key="said", event=Raw(b"{}"), seq=4),
    Spawned(frame="w", key="child", run=RUN, workflow="handle", event=Raw(b"{}")),
    Joined(frame="w", key="child", error=EVIL),
    Returned(frame="w/hive", result=Raw(b"1"), steps=["a"]),
    Withdrawn(frame="w", key="ask"),
    Blocked(cause=1, frame="w", kind="code", reason="r", needs="n", fingerprint="f"),
    Unblocked(cause=1, by="ada"),
    Reopened(by="ada", origin=f"{RUN}@3"),
    Retried(frame="w", steps=["a"], event=Raw(b"{}")),
    Resumed(frame="w"),
    Cancelled(reason="r", parent=RUN),
    Ended(status="failed", error="e", steps=["a"], failure=EVIL),
]
QUESTION = Question(
    id="q1", frame="w", key="ask", role="developer", question="?", asked_at=1.0, deadline=9.0
)
STATE = RunState(id=RUN, tail=5, ticket="T1", questions={"q1": QUESTION})
PARKED = parked_question(STATE, QUESTION)
ROW = IndexRow(
    id=RUN,
    workflow="handle",
    ticket="T1",
    status="running",
    started_at=TIME,
    updated_at=TIME,
    pos=3,
)
WHOLE: dict[str, Any] = {
    "log": Envelope(op="w-1", at=1.5, cause=1, records=RECORDS),
    "parked": ParkedRecord(ticket="T1", questions=(PARKED,), runs={RUN: STATE}),
    "runs": ROW,
    "questions": OpenQuestion(ticket="T1", question=PARKED),
    "blocked": BlockedRow(run=RUN, workflow="handle", pos=3),
    "waits": Waits(waits=(Wait(run=RUN, frame="w", key="k", seen=3),)),
    "shapes": Shapes(subject="desk.said", shapes=(("ticket",),)),
    "due": Due(kind="question", run=RUN, at=9.0, role="developer", ticket="T1", question="q1"),
    "receipt": Receipt(outcome="accepted", ticket="T1", question="q1", seq=3),
    "dead": DeadLetter(reason="r", subject="s", mailbox="m", seq=1, at=1.0, size=1, body="x"),
    "said": [Said(key="k", at=TIME, text="hello")],
    "command": Command(run=RUN, why="w"),
    "delta": TextDelta(id="1.0", run=RUN, at=TIME, text="t", after=1, answer="a", index=0),
    "event": {"ticket": "T1", "n": 1},
    "answer": {"answer": "yes", "questionId": "q1", "by": "ada"},
    "act": {"questionId": "q1", "to": "person:bob", "minutes": 30},
    "question": {"id": "q1", "ticket": "T1"},
    "reference": {"$blob": "0" * 64, "size": 3, "run": RUN},
    "acknowledgement": {"stream": "EVENTS", "seq": 7},
}
"""What Layby and people publish, one of each."""
_ENCODED = {name: msgspec.json.encode(value) for name, value in WHOLE.items()}
_RECORDS = [
    msgspec.json.encode(Envelope(op="w-1", at=1.5, cause=1, records=[each])) for each in RECORDS
]


class Frame(NamedTuple):
    """One message as bytes; `block` is its whole header block."""

    subject: bytes
    body: bytes = b""
    reply: bytes = b""
    block: bytes = b""


odd = st.binary(min_size=1, max_size=8).map(
    lambda raw: bytes(byte for byte in raw if byte not in b" \t\r\n.*>") or b"\xff"
)
"""A word of a subject, of any bytes that may stand in one."""
words = st.sampled_from(
    [
        *(b"T1", b"T2", b"=ZZ", b"=2E", b"x", b"q1", b"w", b"log", b"end", b"junk", b"0" * 20),
        *(RUN.encode(), b"x" * 300, "é".encode(), "\u2028".encode(), b"\x00", b"\xff\xfe"),
        *(b"\x1b[2J", b"1", b"\xed\xa0\x80"),
    ]
)
word = words | odd
actor = st.sampled_from([b"workflow-handle", b"workflow-waits", b"human-developer", b"log"]) | word
position = st.integers(0, 12).map(lambda n: b"%d" % n) | st.sampled_from([b"01", b"9" * 30]) | word
bucket = st.sampled_from([b"runs", b"parked", b"questions", b"blocked", b"waits", b"keys"])
trigger = st.sampled_from([b"desk.opened", b"desk.said", b"desk.other"])
verb = st.sampled_from([b"cancel", b"retry", b"dead-drop", b"dead-retry"]) | odd


said = st.sampled_from([b"claim", b"pass", b"decline", b"ask-back"])
via = st.sampled_from([b"via-slack", b"via-link", b"via-x"]) | odd


def _joined(*parts: st.SearchStrategy[bytes] | bytes) -> st.SearchStrategy[bytes]:
    each = [st.just(part) if isinstance(part, bytes) else part for part in parts]
    return st.tuples(*each).map(b".".join)


def subjects(runs: list[str]) -> st.SearchStrategy[bytes]:
    """A subject of every family; `runs` are some that there are."""
    run = st.sampled_from([each.encode() for each in [*runs, RUN]]) | word

    def log(parts: tuple[bytes, bytes, bytes]) -> bytes:
        to, of, n = parts
        try:
            share = partition(of.decode()).encode()
        except (BusError, ValueError):
            share = b"0"
        return b".".join((b"to", share, to, of, n))

    return st.one_of(
        trigger,
        st.tuples(actor, run, position).map(log),
        st.tuples(actor, run, position).map(log),
        _joined(b"to", word, actor, run, position),
        _joined(b"developer.response", word),
        _joined(b"developer.response", word, word),
        _joined(b"developer.response", word, word, via),
        _joined(b"developer", said, word),
        _joined(b"developer", said, word, word),
        _joined(b"developer", said, word, word, via),
        _joined(b"developer.question", word),
        _joined(b"developer.receipt", word),
        _joined(b"due", word),
        _joined(b"timer", word),
        _joined(b"dead", word),
        _joined(b"blob", run, word, word),
        _joined(b"layby.thread", word, word),
        _joined(b"layby.do", verb, word),
        _joined(b"layby.done", word, word),
        _joined(b"layby.cancel", run),
        _joined(b"layby.blocked", run),
        _joined(b"layby.events", run),
        _joined(b"$KV", bucket, word),
        _joined(b"$KV", bucket, word, run),
        _joined(b"$KV", bucket, b"developer", word, word),
    )


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Something like what Layby or people publish: whole, cut, with other bytes in it; or rubbish.

    An entry that can be read is the last thing that rubbish should be, so most are spoilt.
    """
    match draw(st.sampled_from(["whole", "bytes", "bytes", "cut", "value", "value", "rubbish"])):
        case "whole":
            return draw(st.sampled_from([*_ENCODED.values(), *_RECORDS]))
        case "bytes":
            whole = draw(st.sampled_from([*_ENCODED.values(), *_RECORDS]))
            at = draw(st.integers(0, len(whole)))
            return whole[:at] + draw(st.binary(max_size=3)) + whole[at + draw(st.integers(0, 3)) :]
        case "cut":
            whole = draw(st.sampled_from([*_ENCODED.values(), *_RECORDS]))
            return whole[: draw(st.integers(0, len(whole)))]
        case "value":
            whole = draw(st.sampled_from([*_ENCODED.values(), *_RECORDS]))
            changed = _changed(draw, msgspec.json.decode(whole))
            return json.dumps(changed).encode()  # with NaN, Infinity and halves of surrogates
        case _:
            return draw(
                st.binary(max_size=60)
                | st.sampled_from([b"", b"[" * 5_000, b'{"a":' * 5_000, b"\x93LB1", b"1" * 5_000])
                | st.tuples(names_of_keys, st.binary(max_size=40)).map(_sealed)
            )


names_of_keys = st.sampled_from(
    [b"b-1/0", b"t-1/1", b"b-1/1/p-1/1", b"check/0", b"b-1/999999", b"x/y", b"", b"b-1/-1"]
)


def _sealed(parts: tuple[bytes, bytes]) -> bytes:
    """What looks as if it took a key, of that name, to read it."""
    name, rest = parts
    return b"\x93LB1" + bytes([len(name)]) + name + rest


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """`value` with another one somewhere in it, or in its place."""
    if not draw(st.integers(0, 3)):
        return draw(values)
    if isinstance(value, dict) and value:
        fields: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        key = draw(st.sampled_from(sorted(fields)))
        return {**fields, key: _changed(draw, fields[key])}
    if isinstance(value, list) and value:
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        at = draw(st.integers(0, len(items) - 1))
        return [*items[:at], _changed(draw, items[at]), *items[at + 1 :]]
    return draw(values)


_NAMES = (
    *(b"Nats-Subject", b"Nats-Sequence", b"Nats-Time-Stamp", b"Nats-Num-Pending", b"Status"),
    *(b"Nats-Last-Sequence", b"Nats-UpTo-Sequence", b"Nats-Stream", b"KV-Operation", b"X"),
)
_lines = st.tuples(st.sampled_from(_NAMES) | odd, st.sampled_from([b": ", b":", b"", b"\r\n"]), odd)
blocks = st.one_of(
    st.just(b""),
    st.just(b""),
    st.lists(_lines.map(b"".join), max_size=4).map(
        lambda lines: b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    ),
    st.binary(max_size=12).map(lambda raw: b"NATS/1.0 " + raw + b"\r\n\r\n"),
    st.binary(max_size=30),
)
"""A header block: none, of the server's names, a status, or no header block at all."""


def frames(runs: list[str]) -> st.SearchStrategy[Frame]:
    """One message; `runs` are some that there are."""
    subject = subjects(runs)
    reply = st.just(b"") | st.just(b"") | subject | odd
    return st.builds(Frame, subject=subject, body=bodies(), reply=reply, block=blocks)
