"""Which trace something belongs to, in the form of W3C's Trace Context, as a run keeps it.

In a log it is one text: `traceparent`, and after a space `tracestate` if there is one. It comes
from outside, so whatever is not of this form counts as no trace.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

PARENT: Final = "traceparent"
STATE: Final = "tracestate"
"""The names of the headers."""
_PARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
_STATE: Final = re.compile(r"[\x20-\x7e]{1,512}")


class Traced(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Which spans a frame belongs to; all empty in a run that was not traced."""

    origin: str = ""
    """The span that opened the frame: its caller's, or that of the sender of the event."""
    first: str = ""
    """The frame's own span, of the worker that entered it first."""
    last: str = ""
    """The same for the worker that entered it last."""


UNTRACED: Final = Traced()


def carrier(headers: Mapping[str, str]) -> str:
    """The trace in the headers of a message, as a log keeps it; empty: none, or not a valid one."""
    parent = headers.get(PARENT, "")
    if not parent:
        return ""
    state = headers.get(STATE, "")
    return checked(f"{parent} {state}" if _STATE.fullmatch(state) else parent)


def headers(kept: str) -> dict[str, str]:
    """The headers for a trace that a log keeps; none if it is not a valid one."""
    parent, _, state = checked(kept).partition(" ")
    return {} if not parent else {PARENT: parent, **({STATE: state} if state else {})}


def checked(kept: str) -> str:
    """A trace that a log keeps; empty: none, or not a valid one."""
    parent, space, state = kept.partition(" ")
    if not _PARENT.fullmatch(parent):
        return ""
    return kept if not space or _STATE.fullmatch(state) else parent


def trace_id(kept: str) -> str:
    """The id of the trace that a log keeps, 32 hex digits; empty: none."""
    found = _PARENT.fullmatch(kept.partition(" ")[0])
    return found[1] if found else ""
