"""Where a task is in the traces of this process: its segment, and its innermost span."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..runtime.trace_context import carrier, headers
from .harmless import harmless

_W3C: Final = TraceContextTextMapPropagator()
_NONE: Final[Mapping[str, str]] = {}


class Around(Protocol):
    """The segment that a task is in."""

    @property
    def has_begun(self) -> bool:
        """Whether it has a span."""
        ...

    @property
    def trace(self) -> str:
        """The id of its trace, as far as it is known; empty: unknown."""
        ...

    @property
    def conversation(self) -> Mapping[str, str]:
        """The attributes that its spans share."""
        ...

    def holds(self, span: Span) -> bool:
        """Whether `span` is one within it."""
        ...

    def context(self) -> Context:
        """Its own span as a parent; it begins now at the latest."""
        ...


around: Final[ContextVar[Around | None]] = ContextVar("around", default=None)


def parent() -> Context | None:
    """The parent of a new span; None: whatever OpenTelemetry takes."""
    segment = around.get()
    if segment is None or segment.holds(trace.get_current_span()):
        return None
    return segment.context()


@harmless(_NONE)
def outgoing() -> Mapping[str, str]:
    """The headers that continue the present span elsewhere."""
    found: dict[str, str] = {}
    _W3C.inject(found, parent())
    return found


@harmless(_NONE)
def ids() -> Mapping[str, str]:
    """The ids of the present span, for lines of the log. It begins no span."""
    segment = around.get()
    if segment is not None and not segment.has_begun:
        return {"trace_id": segment.trace} if segment.trace else {}
    at = trace.get_current_span(parent()).get_span_context()
    if not at.is_valid:
        return {}
    return {"trace_id": f"{at.trace_id:032x}", "span_id": f"{at.span_id:016x}"}


def read(kept: str) -> SpanContext | None:
    """The span that a log keeps; None: none, or not a valid one."""
    found = trace.get_current_span(_W3C.extract(headers(kept), Context())).get_span_context()
    return found if found.is_valid else None


def written(span: Span) -> str:
    """A span as a log keeps it."""
    found: dict[str, str] = {}
    _W3C.inject(found, trace.set_span_in_context(span, Context()))
    return carrier(found)
