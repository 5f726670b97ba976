"""What the fold keeps of traces: enough for the next segment, in any worker, to link back."""

from __future__ import annotations

import msgspec

from layby.runtime import journal
from layby.runtime.entry import (
    NULL,
    Answered,
    Asked,
    Called,
    Failure,
    Record,
    Returned,
    Started,
    Stepped,
)
from layby.runtime.envelope import Envelope, encode, read
from layby.runtime.state import RunState
from layby.runtime.trace_context import Traced
from layby.runtime.trace_fold import headers_of, trace_of, traced_in

TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(n: int) -> str:
    return f"00-{TRACE}-{n:016x}-01"


STARTED = Started(workflow="w", actor="workflow-w", version="1", ticket="T", event=NULL)
CALLED = Called(frame="w", key="c", child="w/c", actor="agent-a")


def folded(*messages: tuple[int, str, list[Record]]) -> RunState:
    state = RunState(id="r")
    for n, (cause, trace, records) in enumerate(messages, 1):
        envelope = Envelope(op="o", at=float(n), cause=cause, trace=trace, records=records)
        again = read(encode(envelope))
        assert again is not None
        journal.fold(state, n, again)
    return state


def test_a_frame_keeps_its_first_and_its_last_span() -> None:
    state = folded(
        (1, span(1), [STARTED, Stepped(frame="w", key="a")]),
        (1, span(1), [Asked(frame="w", key="q", id="q1", role="d", question="?", deadline=9.0)]),
        (0, "", [Answered(id="q1", text="yes")]),
        (3, span(2), [Stepped(frame="w", key="b")]),
    )
    assert traced_in(state, "w") == Traced(first=span(1), last=span(2))
    assert trace_of(state) == TRACE
    assert headers_of(state, "w") == {"traceparent": span(2)}


def test_a_called_frame_knows_the_span_that_called_it() -> None:
    state = folded((1, span(1), [STARTED, CALLED]), (1, span(2), [Stepped(frame="w/c", key="m")]))
    assert traced_in(state, "w/c") == Traced(origin=span(1), first=span(2), last=span(2))
    assert traced_in(state, "w") == Traced(first=span(1), last=span(1))


def test_a_child_run_knows_the_span_of_its_parent_and_is_not_in_it() -> None:
    state = folded((0, span(7), [STARTED]))
    assert traced_in(state, "w") == Traced(origin=span(7))
    assert trace_of(state) == TRACE
    state = folded((0, span(7), [STARTED]), (1, span(8), [Stepped(frame="w", key="a")]))
    assert traced_in(state, "w") == Traced(origin=span(7), first=span(8), last=span(8))


def test_a_frame_that_is_over_is_forgotten_and_one_that_failed_is_not() -> None:
    records: list[Record] = [STARTED, CALLED]
    begun = (1, span(1), records)
    over = folded(begun, (1, span(2), [Returned(frame="w/c")]))
    assert over.frames["w/c"].traced is None
    failed = Returned(frame="w/c", error=Failure(type="E", message="m"))
    assert folded(begun, (1, span(2), [failed])).frames["w/c"].traced is not None


def test_an_invalid_trace_changes_nothing() -> None:
    for hostile in ("x", span(1) + "\n", "00-" + "0" * 52, "\x00", "é" * 55):
        assert folded((1, hostile, [STARTED])).root.traced is None
    assert trace_of(RunState(id="r")) == ""
    assert headers_of(RunState(id="r"), "w") == {}


def test_a_run_that_is_not_traced_is_written_as_before() -> None:
    envelope = Envelope(op="o", at=1.0, records=[STARTED])
    assert b"trace" not in encode(envelope)
    assert b"traced" not in msgspec.json.encode(folded((1, "", [STARTED])))


def test_an_earlier_release_reads_traced_entries_and_states() -> None:
    """Its structs lack the fields, and msgspec skips what a struct lacks."""

    class Earlier(msgspec.Struct):
        op: str
        at: float
        records: list[Record]

    entry = encode(Envelope(op="o", at=1.0, cause=1, trace=span(1), records=[STARTED]))
    assert msgspec.json.decode(entry, type=Earlier).records == [STARTED]
    state = folded((1, span(1), [STARTED]))
    kept = msgspec.json.encode(state)
    assert msgspec.json.decode(kept, type=RunState).root.traced == state.root.traced
    assert msgspec.json.decode(kept.replace(b'"traced"', b'"unknown"'), type=RunState).form
