"""Tool calls as a person clears them: to run, changed or not, or replaced by another outcome."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ...tools.approval import Ruling
from ...tools.tool import Tool
from ..threads.turn import CallOutcome, Prepared


class Cleared(NamedTuple):
    """A call as it may run, or the outcome that replaces it."""

    arguments: dict[str, Any]
    digest: str = ""
    """The digest that a person approved; empty if nobody was asked."""
    edited: bool = False
    refusal: CallOutcome | None = None


def failed(content: str) -> CallOutcome:
    """The outcome of a call that failed or did not run; `content` says why."""
    return CallOutcome(content=content, is_error=True)


def ruled(tool: Tool[..., Any], prepared: Prepared, ruling: Ruling, by: str) -> Cleared:
    """The call after a ruling other than an edit."""
    match ruling.kind:
        case "approve":
            return Cleared(prepared.arguments, prepared.digest)
        case "respond":
            return Cleared(prepared.arguments, refusal=CallOutcome(content=ruling.text))
        case _:
            who = by or f"a {prepared.role}"
            why = f"{tool.name} was not run: {who} rejected it"
            return Cleared(
                prepared.arguments, refusal=failed(f"{why}: {ruling.text}" if ruling.text else why)
            )


def edit_note(cleared: Cleared) -> str:
    """A note to the model about arguments that it did not choose itself."""
    if not cleared.edited:
        return ""
    shown = json.dumps(cleared.arguments, ensure_ascii=False)
    return f"[A person changed the arguments to {shown}]\n"
