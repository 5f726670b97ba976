"""What a worker reads is refused or understood, whatever it is: nothing else may happen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby import App, Step
from layby.actors.people import tickets as parked
from layby.actors.people.answer import Receipt
from layby.actors.people.parked_question import parked_question
from layby.actors.people.tickets import ParkedRecord
from layby.actors.workflows.workflow import Workflow
from layby.bus.dead import DeadLetter
from layby.bus.errors import BusError, InvalidTicket
from layby.bus.log_subject import parse, subject
from layby.bus.token import decode as decode_token
from layby.bus.token import encode as encode_token
from layby.runtime import envelope as wire
from layby.runtime.delivery_policy import PoisonMessage
from layby.runtime.entry import (
    Answered,
    Asked,
    Called,
    Ended,
    Failure,
    Raw,
    Record,
    Started,
    Stepped,
    Withdrawn,
)
from layby.runtime.envelope import Envelope
from layby.runtime.index import IndexRow
from layby.runtime.journal import fold
from layby.runtime.ports import Due
from layby.runtime.state import Question, RunState
from tests.examples import examples

REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder says of what it does not understand; its callers know of all three."""

calmly = settings(deadline=None, database=None, max_examples=examples(300))

FAILED = Failure(type="OSError", message="down")
RECORDS: list[Record] = [
    Started(workflow="w", actor="workflow-w", version="1", ticket="T1", event=Raw(b'{"a":1}')),
    Stepped(frame="w", key="a", result=Raw(b"[1,2]"), ms=1.5, note="n"),
    Stepped(frame="w", key="b", error=FAILED),
    Asked(frame="w", key="ask", id="q1", role="developer", question="?", deadline=9.5),
    Answered(id="q1", text="yes", by="ada", at=5.0, seq=7),
    Called(frame="w", key="hive", child="hive", actor="network-hive", input=Raw(b"{}")),
    Withdrawn(frame="w", key="ask"),
    Ended(status="completed", result=Raw(b'"done"')),
]
QUESTION = Question(
    id="q1", frame="w", key="ask", role="developer", question="?", asked_at=1.0, deadline=9.0
)
RUN = RunState(id="run", tail=5, ticket="T1", questions={"q1": QUESTION})
EXAMPLES: dict[str, tuple[Callable[[bytes], Any], object]] = {
    "log": (wire.decode, Envelope(op="w-1", at=1.5, cause=3, records=RECORDS)),
    "record": (
        parked.decode,
        ParkedRecord(ticket="T1", questions=(parked_question(RUN, QUESTION),), runs={"run": RUN}),
    ),
    "due": (
        msgspec.json.Decoder(Due).decode,
        Due(kind="question", run="run", at=9.0, role="developer", ticket="T1", question="q1"),
    ),
    "row": (
        msgspec.json.Decoder(IndexRow).decode,
        IndexRow(
            id="run",
            workflow="w",
            ticket="T1",
            status="running",
            started_at="1970-01-01T00:00:00.000Z",
            updated_at="1970-01-01T00:00:00.000Z",
            pos=3,
        ),
    ),
    "receipt": (
        msgspec.json.Decoder(Receipt).decode,
        Receipt(outcome="accepted", ticket="T1", question="q1", seq=3),
    ),
    "dead letter": (
        msgspec.json.Decoder(DeadLetter).decode,
        DeadLetter(reason="r", subject="s", mailbox="m", seq=1, at=1.0, size=1, body="x"),
    ),
}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """Something like `whole`: cut, with other bytes in it, or with another value somewhere."""
    match draw(st.sampled_from(["bytes", "cut", "value", "rubbish"])):
        case "bytes":
            at = draw(st.integers(0, len(whole)))
            return whole[:at] + draw(st.binary(max_size=3)) + whole[at + draw(st.integers(0, 3)) :]
        case "cut":
            return whole[: draw(st.integers(0, len(whole)))]
        case "value":
            return msgspec.json.encode(_changed(draw, msgspec.json.decode(whole)))
        case _:
            return draw(st.binary(max_size=50) | values.map(msgspec.json.encode))


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """`value` with another one somewhere in it, or in its place."""
    if not draw(st.booleans()):
        return draw(values)
    if isinstance(value, dict) and value:
        fields = cast("dict[str, Any]", value)
        key = draw(st.sampled_from(sorted(fields)))
        return {**fields, key: _changed(draw, fields[key])}
    if isinstance(value, list) and value:
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        at = draw(st.integers(0, len(items) - 1))
        return [*items[:at], _changed(draw, items[at]), *items[at + 1 :]]
    return draw(values)


@pytest.mark.parametrize("name", EXAMPLES)
@calmly
@given(st.data())
def test_what_can_be_read_is_read_the_same_again(name: str, data: st.DataObject) -> None:
    read, example = EXAMPLES[name]
    text = data.draw(spoilt(msgspec.json.encode(example)))
    with suppress(*REFUSED):
        understood = read(text)
        written = msgspec.json.encode(understood)
        assert msgspec.json.encode(read(written)) == written


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_no_object_or_lacks_a_field_is_refused(name: str) -> None:
    read, example = EXAMPLES[name]
    whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(example))
    assert msgspec.json.encode(read(msgspec.json.encode(whole))) == msgspec.json.encode(example)
    for bad in (b"", b"null", b"[]", b"7", b'"x"', b"{}", b"{", b"\xff", b"{}" * 2):
        with pytest.raises(REFUSED):
            read(bad)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_nested_too_deeply_is_refused(name: str) -> None:
    read, _ = EXAMPLES[name]
    with pytest.raises(REFUSED):
        read(b'{"x":' * 100_000)


@calmly
@given(st.data())
def test_a_log_that_can_be_read_can_be_folded(data: st.DataObject) -> None:
    state = RunState(id="run")
    for n in range(1, data.draw(st.integers(1, 4)) + 1):
        example = Envelope(op=f"w-{n}", at=float(n), cause=n - 1, records=RECORDS)
        text = data.draw(
            st.just(msgspec.json.encode(example)) | spoilt(msgspec.json.encode(example))
        )
        try:
            envelope = wire.decode(text)
        except REFUSED:
            return
        fold(state, n, envelope)
        msgspec.json.encode(state)


# -- events, tokens, subjects --------------------------------------------------------------------


class Opened(msgspec.Struct):
    ticketId: str  # noqa: N815
    count: int = 0


def workflow_of(event_type: Any) -> Workflow:
    app = App("decoders")

    async def handle(event: Any, step: Step) -> None:
        del event, step

    handle.__annotations__["event"] = event_type
    app.workflow(on="desk.opened", key="ticketId")(handle)
    return app.workflows["handle"]


@pytest.mark.parametrize("event_type", [Opened, dict[str, Any]])
@calmly
@given(st.data())
def test_an_event_starts_a_run_or_is_hopeless(event_type: Any, data: st.DataObject) -> None:
    whole = msgspec.json.encode({"ticketId": "T1", "count": 3, "more": [1, {"a": "b"}]})
    event = data.draw(spoilt(whole))
    try:
        started = workflow_of(event_type).started(event)
    except PoisonMessage:
        return
    ticket = msgspec.json.decode(event)["ticketId"]
    assert started.ticket == str(ticket) != ""
    assert decode_token(encode_token(started.ticket)) == started.ticket
    envelope = Envelope(op="w", at=1.0, records=[started])
    assert wire.decode(wire.encode(envelope)) == envelope


@calmly
@given(st.text(st.sampled_from("aZ09=-_2EeC3.>* \ud800é"), max_size=300))
def test_a_token_is_the_one_of_its_ticket_or_refused(token: str) -> None:
    with suppress(InvalidTicket):
        assert encode_token(decode_token(token)) == token


@calmly
@given(st.text(st.sampled_from("to.log*>07af \u0663-"), max_size=30))
def test_a_subject_is_the_one_of_a_position_or_refused(text: str) -> None:
    with suppress(BusError):
        to, run, n = parse(text)
        assert subject(to, run, n) == text
