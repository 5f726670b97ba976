"""The span of a frame from its entry until it waits or ends.

It ends, and is exported, when the frame waits: the next one, perhaps days later in another worker,
links back to it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Final, NamedTuple, Self

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, Status, StatusCode, Tracer

from ..runtime.entry import ROOT, Started
from ..runtime.errors import StepFailed
from ..runtime.state import RunState
from ..runtime.trace_context import UNTRACED, Traced, trace_id
from ..runtime.trace_context import carrier as carried
from ..runtime.tracing import Entry
from . import names, waiting
from .bounded import message, shown
from .harmless import harmless
from .place import Around, around, read, written


class Actor(NamedTuple):
    """Whose frame it is."""

    operation: str
    name: str


class SegmentSpan:
    """A `Segment`."""

    def __init__(self, tracer: Tracer, entry: Entry, actor: Actor, *, tells: bool) -> None:
        self._tracer = tracer
        self._entry = entry
        self._actor = actor
        self._tells = tells
        """Whether errors may say what they say."""
        self._began = time.time_ns()
        opened = _traced(entry)
        self._traced = opened if opened.origin else _from(entry, opened)
        self._span: Span | None = None
        self._before: Span | None = None
        """Stands for the span before it, until it begins."""
        self._kept = ""
        self._left = ""
        self._tokens: tuple[Token[Context], Token[Around | None]] | None = None
        self.conversation: Final = _conversation(entry, actor)

    @property
    def has_begun(self) -> bool:
        """Whether it has a span."""
        return self._span is not None

    @property
    def trace(self) -> str:
        """The id of its trace, as far as it is known; empty: unknown."""
        return trace_id(self._kept or self._traced.first or self._traced.origin)

    def holds(self, span: Span) -> bool:
        """Whether `span` is one within it."""
        return span is not self._before and span.get_span_context().is_valid

    def context(self) -> Context:
        """Its own span as a parent; it begins now at the latest."""
        return trace.set_span_in_context(self._begun())

    @harmless("")
    def kept(self) -> str:
        """The span as a log keeps it; it begins now at the latest."""
        self._begun()
        return self._kept

    @harmless(None)
    def left(self, *, waits: bool, error: BaseException | None = None, blocked: str = "") -> None:
        """Note how the frame was left."""
        if waits and not (self.has_begun or blocked):
            return  # it has only repeated what is recorded
        span = self._begun()
        if blocked:
            self._left = "blocked"
            span.set_attribute(names.BLOCKED, blocked)
        elif error is not None:
            self._left = "failed"
            fail(span, error, tells=self._tells)
        elif not waits:
            self._left = "completed"

    def __enter__(self) -> Self:
        self._enter()
        return self

    @harmless(None)
    def _enter(self) -> None:
        if not self._entry.may_replay:
            self._begun()
        elif (last := read(self._traced.last or self._traced.origin)) is not None:
            self._before = NonRecordingSpan(last)
        current = self._span or self._before or trace.INVALID_SPAN
        attached = contexts.attach(trace.set_span_in_context(current))
        self._tokens = attached, around.set(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace_: TracebackType | None,
    ) -> None:
        self._leave(error)

    @harmless(None)
    def _leave(self, error: BaseException | None) -> None:
        if self._tokens is not None:
            attached, placed = self._tokens
            around.reset(placed)
            contexts.detach(attached)
        if self._span is not None:
            self._finish(self._span, error)

    def _finish(self, span: Span, error: BaseException | None) -> None:
        if error is not None:  # the next handler of the mail goes on
            span.set_attribute(names.OUTCOME, "interrupted")
            span.set_attribute(names.ERROR, type(error).__name__)
        else:
            span.set_attribute(names.OUTCOME, self._left or self._pause(span))
        span.end()

    def _pause(self, span: Span) -> str:
        """Note what the frame waits for; the outcome."""
        state = self._entry.state
        frame = state.frames.get(self._entry.frame.id, self._entry.frame)
        found = list(waiting.pauses(state, frame))
        for facts in found:
            span.add_event(names.PAUSED, facts)
        return "paused" if found else "called" if waiting.is_calling(frame) else "left"

    def _begun(self) -> Span:
        if self._span is None:
            self._span = self._start()
            self._kept = written(self._span)
        return self._span

    def _start(self) -> Span:
        traced, entry = self._traced, self._entry
        span = start(self._tracer, self._actor, traced, self.conversation, self._began)
        span.set_attribute(names.SEGMENT, self._kind())
        facts = waiting.resumption(entry.state, entry.mail)
        if facts is not None:
            span.add_event(names.RESUMED, facts, self._began)
        return span

    def _kind(self) -> str:
        if not self._traced.first:
            return "initial"
        return "repeated" if self._entry.delivery.num_delivered > 1 else "resumed"


def start(
    tracer: Tracer, actor: Actor, traced: Traced, about: Mapping[str, str], began: int
) -> Span:
    """Start the span of a segment: in the trace of its frame, with a link to the one before it."""
    above, before = read(traced.first or traced.origin), read(traced.last)
    at = Context() if above is None else trace.set_span_in_context(NonRecordingSpan(above))
    links = [Link(before, {names.RELATION: names.RESUME_ORIGIN})] if before else None
    return tracer.start_span(
        f"{actor.operation} {actor.name}",
        at,
        attributes={names.OPERATION: actor.operation, **about},
        links=links,
        start_time=began,
    )


def fail(span: Span, error: BaseException, *, tells: bool) -> None:
    """Note that what a span stands for has failed."""
    kind = error.type_name if isinstance(error, StepFailed) else type(error).__name__
    span.set_attribute(names.ERROR, shown(kind))
    span.set_status(Status(StatusCode.ERROR, message(error) if tells else None))


def ended(tracer: Tracer, actor: Actor, state: RunState) -> None:
    """A span for the end of a run that was ended from outside while it waited."""
    traced = state.root.traced or UNTRACED
    if not traced.last:
        return
    began = time.time_ns()
    span = start(tracer, actor, traced, _about(state.id, actor, state), began)
    span.set_attribute(names.SEGMENT, "resumed")
    span.set_attribute(names.OUTCOME, shown(state.status))
    closed = [q for q in state.questions.values() if q.at == state.updated_at]
    for question in closed[:16]:
        span.add_event(names.RESUMED, waiting.closed(question), began)
    if state.status != "cancelled":
        span.set_attribute(names.ERROR, shown(state.status))
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def _traced(entry: Entry) -> Traced:
    frame = entry.state.frames.get(entry.frame.id, entry.frame)
    return frame.traced or UNTRACED


def _from(entry: Entry, traced: Traced) -> Traced:
    """What the headers of the event say, of a run that begins; mail says it in the log."""
    if entry.frame.id != ROOT or traced.first or not isinstance(entry.mail, Started):
        return traced
    return Traced(origin=carried(entry.delivery.headers))


def _conversation(entry: Entry, actor: Actor) -> Mapping[str, str]:
    about = entry.mail if isinstance(entry.mail, Started) else entry.state
    return _about(entry.state.id, actor, about)


def _about(run: str, actor: Actor, about: Started | RunState) -> Mapping[str, str]:
    """What the spans of a segment share."""
    parent = {} if about.parent is None else {names.PARENT_RUN: shown(about.parent.run)}
    return {
        names.CONVERSATION: run,
        names.AGENT_NAME: shown(actor.name),
        names.RUN: run,
        names.TICKET: shown(about.ticket),
        names.RUN_WORKFLOW: shown(about.workflow),
        **parent,
    }
