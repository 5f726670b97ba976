"""Spans as the SDK ends them: what they say, what they never say, and what stops nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from layby.actors.models.model import (
    Message,
    ModelRequest,
    ModelResponse,
    Part,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from layby.actors.threads.turn import CallOutcome
from layby.bus.mailbox import Delivery
from layby.runtime import trace_context
from layby.runtime.entry import (
    NULL,
    Answered,
    Expired,
    Record,
    Started,
    Woken,
)
from layby.runtime.errors import Fenced, Parked, StepFailed
from layby.runtime.state import Frame, Question, RunState, Slot
from layby.runtime.trace_context import Traced
from layby.runtime.tracing import UNTRACED, Entry
from layby.tracing import harmless, names
from layby.tracing.place import ids, outgoing
from layby.tracing.segment import Actor
from layby.tracing.tracer import SpanTracer
from tests.scripted import Scripted

TRACE = "0af7651916cd43dd8448eb211c80319c"
FIRST = f"00-{TRACE}-00000000000000f1-01"
LAST = f"00-{TRACE}-00000000000000f2-01"
SECRET = "sk-canary-4711-4711"  # noqa: S105
STARTED = Started(workflow="pay", actor="workflow-pay", version="1", ticket="T1", event=NULL)
ACTORS = {"workflow-pay": Actor(names.WORKFLOW, "pay")}


class Mail:
    """What a delivery says of itself."""

    def __init__(self, num_delivered: int = 1, **headers: str) -> None:
        self.num_delivered = num_delivered
        self.headers = headers


class Spans:
    """A provider, and the spans that it ended."""

    def __init__(self) -> None:
        self.kept = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.kept))

    def tracer(self, **more: Any) -> SpanTracer:
        return SpanTracer(self.provider, ACTORS, **more)

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self.kept.get_finished_spans()

    @property
    def one(self) -> ReadableSpan:
        [span] = self.all
        return span


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    monkeypatch.setenv("SHOP_API_KEY", SECRET)
    monkeypatch.setattr(harmless, "_wrong", [])
    return Spans()


def run(traced: Traced | None = None, **more: Any) -> RunState:
    root = Frame(id="w", actor="workflow-pay", opened=1, traced=traced)
    return RunState(id="r1", workflow="pay", ticket="T1", frames={"w": root}, **more)


def entry(
    state: RunState, mail: Record = STARTED, *, may_replay: bool = False, delivery: Any = None
) -> Entry:
    frame = state.frames.get("w") or Frame(id="w", actor="workflow-pay")
    brought = cast("Delivery", delivery or Mail())
    return Entry(state, frame, "workflow-pay", mail, brought, may_replay)


def id_of(span: ReadableSpan) -> int:
    at = span.get_span_context()
    assert at is not None
    return int(at.span_id)


def facts(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def test_a_first_segment_continues_the_event_that_started_it(spans: Spans) -> None:
    brought = Mail(traceparent=FIRST, tracestate="vendor=1")
    with spans.tracer().segment(entry(RunState(id="r1"), delivery=brought)) as segment:
        kept = segment.kept()
        segment.left(waits=False)
    span = spans.one
    assert span.name == "invoke_workflow pay"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == FIRST[36:52]
    assert trace_context.trace_id(kept) == TRACE
    assert trace_context.headers(kept)["tracestate"] == "vendor=1"
    assert facts(span)[names.SEGMENT] == "initial"
    assert facts(span)[names.OUTCOME] == "completed"
    assert facts(span)[names.TICKET] == "T1"
    assert not span.links


@pytest.mark.parametrize("hostile", ["", "00-zz", FIRST.upper(), "\udc80", "x" * 100_000])
def test_a_hostile_trace_begins_a_trace_of_its_own(spans: Spans, hostile: str) -> None:
    brought = Mail(traceparent=hostile, tracestate="\x00" * 600)
    with spans.tracer().segment(entry(RunState(id="r1"), delivery=brought)) as segment:
        assert segment.kept()
    assert spans.one.parent is None


def test_a_later_segment_is_in_the_first_and_links_to_the_last(spans: Spans) -> None:
    state = run(Traced(origin=FIRST, first=FIRST, last=LAST))
    with spans.tracer().segment(entry(state, Woken(frame="w", key="nap"))) as segment:
        segment.left(waits=False)
    span = spans.one
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == FIRST[36:52]
    [link] = span.links
    assert f"{link.context.span_id:016x}" == LAST[36:52]
    assert link.attributes == {names.RELATION: names.RESUME_ORIGIN}
    assert facts(span)[names.SEGMENT] == "resumed"
    [event] = span.events
    assert event.attributes == {names.RESUMED_TYPE: "timer", names.RESUMED_FROM: "nap"}


def test_a_mail_that_comes_again_makes_no_span_unless_it_does_more(spans: Spans) -> None:
    state, tracer = run(Traced(first=FIRST, last=FIRST)), spans.tracer()
    again = entry(state, may_replay=True, delivery=Mail(2))
    with tracer.segment(again) as segment:
        assert ids() == {"trace_id": TRACE}
        segment.left(waits=True)
    assert not spans.all
    with tracer.segment(again) as segment:
        with tracer.work("step", "pay"):
            assert ids()["trace_id"] == TRACE
        segment.left(waits=True)
    step, whole = spans.all
    assert step.parent is not None
    assert step.parent.span_id == id_of(whole)
    assert facts(whole)[names.SEGMENT] == "repeated"


def test_a_mail_that_comes_again_and_sends_something_begins_its_span(spans: Spans) -> None:
    tracer = spans.tracer()
    again = entry(run(Traced(first=FIRST, last=FIRST)), may_replay=True)
    with tracer.segment(again):
        sent = trace_context.carrier(outgoing())
    assert trace_context.trace_id(sent) == TRACE
    assert sent[36:52] == f"{id_of(spans.one):016x}"


def test_a_segment_that_pauses_says_for_whom(spans: Spans) -> None:
    asked = Question(
        id="q1", frame="w", key="ask", role="lead", question=SECRET, asked_at=1.0, deadline=61.0
    )
    state = run(questions={"q1": asked})
    state.root.slots = {
        "ask": Slot(kind="ask", ref="q1"),
        "nap": Slot(kind="sleep", wake_at=9.0),
        "old": Slot(kind="sleep", settled=3),
        "paid": Slot(kind="event", ref="shop.paid", wake_at=1e12),
        "gone": Slot(kind="child", ref="c", dropped=True),
    }
    with spans.tracer().segment(entry(state)) as segment:
        segment.left(waits=True)
    question, nap, paid = (each.attributes for each in spans.one.events)
    assert question == {
        names.PAUSE_ID: "q1",
        names.PAUSE_REASON: "human_input",
        names.ROLE: "lead",
        names.DEADLINE: "1970-01-01T00:01:01.000Z",
    }
    assert nap == {
        names.PAUSE_ID: "nap",
        names.PAUSE_REASON: "timer",
        names.UNTIL: "1970-01-01T00:00:09.000Z",
    }
    assert paid == {names.PAUSE_ID: "paid", names.PAUSE_REASON: "event"}
    assert facts(spans.one)[names.OUTCOME] == "paused"
    assert {each.name for each in spans.one.events} == {names.PAUSED}


@pytest.mark.parametrize(
    ("status", "text", "digest", "resolution"),
    [
        ("answered", "go", "", "answered"),
        ("answered", "no", "", "answered"),
        ("answered", "approve", "d1", "answered"),
        ("answered", "reject: dear", "d1", "rejected"),
        ("expired", "", "d1", "expired"),
        ("no_quorum", "", "d1", "no_quorum"),
        ("cancelled", "", "", "cancelled"),
    ],
)
def test_a_segment_says_how_the_question_was_resolved(
    spans: Spans, status: str, text: str, digest: str, resolution: str
) -> None:
    mail = Expired(id="q1") if status == "expired" else Answered(id="q1", text=text)
    asked = Question(
        id="q1",
        frame="w",
        key="ask",
        role="lead",
        question="?",
        asked_at=1.0,
        at=3.5,
        deadline=61.0,
        status=status,
        text=text,
        digest=digest,
    )
    with spans.tracer().segment(entry(run(Traced(first=FIRST), questions={"q1": asked}), mail)):
        pass
    [event] = spans.one.events
    assert event.name == names.RESUMED
    assert event.attributes == {
        names.RESUMED_TYPE: "human_input",
        names.RESUMED_FROM: "q1",
        names.ROLE: "lead",
        names.DEADLINE: "1970-01-01T00:01:01.000Z",
        names.RESOLUTION: resolution,
        names.WAITED: 2.5,
    }


def test_an_end_from_outside_ends_the_trace(spans: Spans) -> None:
    asked = Question(
        id="q1", frame="w", key="a", role="lead", question="?", at=5.0, status="cancelled"
    )
    state = run(Traced(first=FIRST, last=LAST), questions={"q1": asked}, updated_at=5.0)
    state.status = "cancelled"
    spans.tracer().ended(state)
    assert facts(spans.one)[names.OUTCOME] == "cancelled"
    assert (spans.one.events[0].attributes or {})[names.RESOLUTION] == "cancelled"
    assert len(spans.one.links) == 1
    spans.tracer().ended(run())  # it was not traced
    assert len(spans.all) == 1


def test_errors_have_a_type_and_hide_secrets(spans: Spans) -> None:
    tracer = spans.tracer()
    with pytest.raises(ValueError, match="canary"), tracer.work("step", "pay"):
        raise ValueError(f"the key {SECRET} {'x' * 10_000}")
    with tracer.segment(entry(RunState(id="r1"))) as segment:
        segment.left(waits=False, error=StepFailed("pay", "said no", "CardError", 1))
    step, whole = spans.all
    assert facts(step)[names.ERROR] == "ValueError"
    assert not step.status.is_ok
    assert step.status.description is not None
    assert step.status.description.startswith("the key [redacted] x")
    assert len(step.status.description) <= 500
    assert not step.events, "a traceback would show values"
    assert facts(whole)[names.ERROR] == "CardError"
    assert facts(whole)[names.OUTCOME] == "failed"


def test_parking_a_body_is_not_an_error(spans: Spans) -> None:
    tracer = spans.tracer()
    with pytest.raises(Parked), tracer.work("tool", "wait", id="c1", arguments={}):
        raise Parked
    with pytest.raises(Fenced), tracer.segment(entry(RunState(id="r1"))):
        raise Fenced("another was faster")
    tool, whole = spans.all
    assert facts(tool)[names.OUTCOME] == "paused"
    assert facts(whole)[names.OUTCOME] == "interrupted"
    assert tool.status.description is None
    assert whole.status.description is None


def test_a_blocked_segment_says_what_it_needs(spans: Spans) -> None:
    with spans.tracer().segment(entry(RunState(id="r1"))) as segment:
        segment.left(waits=True, blocked="key")
    assert facts(spans.one)[names.BLOCKED] == "key"
    assert facts(spans.one)[names.OUTCOME] == "blocked"


REQUEST = ModelRequest(
    system=f"be kind {SECRET}",
    messages=[
        Message(role="user", parts=[Text(text="x" * 100_000)]),
        Message(role="user", parts=[Text(text=f"hello \udc80 {SECRET}")]),
    ],
    tools=[],
    max_tokens=99,
)
PARTS: list[Part] = [
    ToolCall(id="c1", name="pay", arguments={"to": [SECRET, {"deep": SECRET}]}),
    ToolResult(id="c0", name="pay", content=SECRET),
]
RESPONSE = ModelResponse(
    message=Message(role="assistant", parts=PARTS),
    stop_reason="tool_use",
    usage=Usage(input_tokens=3, output_tokens=5, cache_read_tokens=7, cache_write_tokens=11),
    model="tiny-1-2026",
)


def asked(tracer: SpanTracer) -> None:
    with tracer.work("model", "tiny-1", model=Scripted("x"), request=REQUEST) as span:
        span.note(RESPONSE)
    with tracer.work("tool", "pay", id="c1", arguments={"key": SECRET}) as span:
        span.note(CallOutcome(content=f"paid {SECRET}", is_error=True))


def test_models_and_tools_say_nothing_unless_asked(spans: Spans) -> None:
    asked(spans.tracer(contents=False))
    chat, tool = spans.all
    assert dict(facts(chat)) == {
        names.OPERATION: "chat",
        names.PROVIDER: "_OTHER",
        names.REQUEST_MODEL: "tiny-1",
        names.MAX_TOKENS: 99,
        names.RESPONSE_MODEL: "tiny-1-2026",
        names.INPUT_TOKENS: 21,
        names.OUTPUT_TOKENS: 5,
        names.CACHE_READ: 7,
        names.CACHE_WRITE: 11,
        names.FINISH: ("tool_call",),
    }
    assert dict(facts(tool)) == {
        names.OPERATION: "execute_tool",
        names.TOOL_NAME: "pay",
        names.TOOL_CALL: "c1",
        names.TOOL_TYPE: "function",
        names.ERROR: "tool_error",
    }


def test_contents_are_cut_and_have_no_secrets(spans: Spans) -> None:
    asked(spans.tracer(contents=True))
    chat, tool = spans.all
    assert json.loads(facts(chat)[names.SYSTEM]) == [
        {"type": "text", "content": "be kind [redacted]"}
    ]
    messages = json.loads(facts(chat)[names.INPUT])
    assert messages[1]["parts"] == [{"type": "text", "content": "hello ? [redacted]"}]
    assert len(messages[0]["parts"][0]["content"]) == 8_000
    [said] = json.loads(facts(chat)[names.OUTPUT])
    assert said["finish_reason"] == "tool_call"
    assert said["parts"][0]["arguments"] == {"to": ["[redacted]", {"deep": "[redacted]"}]}
    assert json.loads(facts(tool)[names.TOOL_ARGUMENTS]) == {"key": "[redacted]"}
    assert facts(tool)[names.TOOL_RESULT] == "paid [redacted]"
    assert SECRET not in "".join(each.to_json() for each in spans.all)


def test_of_a_long_conversation_the_newest_messages_are_shown(spans: Spans) -> None:
    many = [Message(role="user", parts=[Text(text=f"{n} {'x' * 7_000}")]) for n in range(99)]
    request = ModelRequest(system="", messages=many, tools=[])
    with spans.tracer(contents=True).work("model", "m", model=Scripted("x"), request=request):
        pass
    shown = json.loads(facts(spans.one)[names.INPUT])
    assert shown[-1]["parts"][0]["content"].startswith("98 ")
    assert len(shown) == 9


def test_spans_of_encrypted_runs_say_nothing(spans: Spans) -> None:
    tracer = spans.tracer(contents=True, encrypted=True)
    asked(tracer)
    with pytest.raises(ValueError, match="canary"), tracer.work("step", "pay"):
        raise ValueError(SECRET)
    assert names.INPUT not in facts(spans.all[0])
    assert names.TOOL_RESULT not in facts(spans.all[1])
    assert spans.all[2].status.description is None


def test_long_and_broken_names_are_cut_and_valid(spans: Spans) -> None:
    with spans.tracer().work("step", f"a\udc80{'x' * 1_000}#2"):
        pass
    assert len(facts(spans.one)[names.STEP_KEY]) == 256
    assert spans.one.name.encode()  # UTF-8 has a form for it


class Broken(TracerProvider):
    """A provider that cannot even make a tracer's span."""

    def get_tracer(self, *args: Any, **more: Any) -> Any:
        del args, more
        return self

    def start_span(self, *args: Any, **more: Any) -> Any:
        del args, more
        raise RuntimeError(f"no span today {SECRET}")


def test_a_fault_in_tracing_stops_nothing_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SHOP_API_KEY", SECRET)
    monkeypatch.setattr(harmless, "_wrong", [])
    tracer = SpanTracer(Broken(shutdown_on_exit=False), ACTORS)
    done: list[str] = []
    with tracer.segment(entry(RunState(id="r1"))) as segment:
        assert segment.kept() == ""
        with tracer.work("step", "pay") as work:
            work.note(None)
            done.append("paid")
        with tracer.work("model", "m") as work:  # it lacks its facts
            done.append("asked")
        assert outgoing() == {}
        assert ids() == {}
        segment.left(waits=False)
    tracer.ended(run(Traced(first=FIRST, last=FIRST)))
    assert done == ["paid", "asked"]
    [record] = caplog.records
    assert record.getMessage().startswith("tracing.failed error=RuntimeError")
    assert SECRET not in record.getMessage()


def test_without_a_tracer_there_is_nothing() -> None:
    with UNTRACED.segment(entry(RunState(id="r1"))) as segment:
        assert segment.kept() == ""
        segment.left(waits=False)
        with UNTRACED.work("step", "pay") as work:
            work.note(1)
    UNTRACED.ended(run())
    assert ids() == {}
    assert outgoing() == {}
