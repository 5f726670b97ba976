"""What a timeline calls the steps around tools and models."""

from __future__ import annotations

from .actors.keys import AFTER, APPROVE, BEFORE, FAILED, FINISH, MODEL, RESPONSE, ROUTE, Key
from .runtime.entry import NULL, Retried

_AROUND = {
    BEFORE: "before {}",
    APPROVE: "approval of {}",
    FAILED: "failure of {}",
    AFTER: "after {}",
}
"""What stands around a tool's call."""
_UNNAMED = {
    MODEL: "the model",
    RESPONSE: "after the model",
    ROUTE: "who is next",
    FINISH: "the end",
}


def title_of(call: Key, inner: str, tool: str | None) -> str:
    """A key as people know it: `order/pay` for what the log calls `tool#0.1/pay`.

    Empty where it has no better name. `tool` is what the tool of the call is named.
    """
    if tool is None:
        return "" if inner else _UNNAMED.get(call.kind, "")
    shown = _AROUND.get(call.kind, "{}").format(tool)
    return f"{shown}/{inner}" if inner else shown


def mended(record: Retried) -> str:
    """What a person has changed so that something is done again; empty: nothing."""
    if record.event != NULL:
        return "with another event"
    return "with another input" if record.input != NULL else ""
