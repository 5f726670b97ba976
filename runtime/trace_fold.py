"""What the log says about traces: which span opened each frame, and which spans were its own."""

from __future__ import annotations

import msgspec

from .entry import ROOT, Called, Returned, Started
from .envelope import Envelope
from .state import Frame, RunState
from .trace_context import UNTRACED, Traced, checked, headers, trace_id


def note(state: RunState, envelope: Envelope) -> None:
    """Note the span in which a message was written. The message itself is folded already."""
    written = checked(envelope.trace)
    if not written:
        return
    for record in envelope.records:
        if isinstance(record, Started) and not envelope.cause:
            _open(state, ROOT, written)  # its parent began it
            continue
        if isinstance(record, Returned) and record.error is None:
            _forget(state, record.frame)
            continue
        frame = ROOT if isinstance(record, Started) else getattr(record, "frame", "")
        if isinstance(frame, str) and frame in state.frames and envelope.cause:
            _enter(state.frames[frame], written)
        if isinstance(record, Called):
            _open(state, record.child, written)


def _open(state: RunState, frame: str, span: str) -> None:
    opened = state.frames.get(frame)
    if opened is not None and opened.traced is None:
        opened.traced = Traced(origin=span)


def _forget(state: RunState, frame: str) -> None:
    """Drop what is known of a frame that nobody enters again: a run may have many."""
    over = state.frames.get(frame)
    if over is not None and over.done:
        over.traced = None


def _enter(frame: Frame, span: str) -> None:
    before = frame.traced or UNTRACED
    frame.traced = msgspec.structs.replace(before, first=before.first or span, last=span)


def trace_of(state: RunState) -> str:
    """The id of a run's trace, 32 hex digits; empty: it was not traced."""
    traced = traced_in(state, ROOT)
    return trace_id(traced.first or traced.origin)


def headers_of(state: RunState, frame: str) -> dict[str, str]:
    """The headers that continue a frame's newest span elsewhere; none: it is not traced."""
    return headers(traced_in(state, frame).last)


def traced_in(state: RunState, frame: str) -> Traced:
    """The spans that a frame belongs to."""
    found = state.frames.get(frame)
    return UNTRACED if found is None else found.traced or UNTRACED
