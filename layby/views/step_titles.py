"""The names that people see for the steps around tools and models."""

from __future__ import annotations

from ..actors.keys import AFTER, APPROVE, BEFORE, FAILED, FINISH, MODEL, RESPONSE, ROUTE, Key

_AROUND = {
    BEFORE: "before {}",
    APPROVE: "approval of {}",
    FAILED: "failure of {}",
    AFTER: "after {}",
}
"""The steps around a tool call."""
_UNNAMED = {
    MODEL: "the model",
    RESPONSE: "after the model",
    ROUTE: "who is next",
    FINISH: "the end",
}


def title_of(call: Key, inner: str, tool: str | None) -> str:
    """A key as people know it: `order/pay` for what the log calls `tool#0.1/pay`.

    Empty if there is no better name. `tool` is the name of the call's tool; None: it is not known.
    """
    if tool is None:
        return "" if inner else _UNNAMED.get(call.kind, "")
    shown = _AROUND.get(call.kind, "{}").format(tool)
    return f"{shown}/{inner}" if inner else shown
