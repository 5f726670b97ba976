"""Hooks: users' functions that are called at certain points of an agent's turn.

All may be sync or async; a sync one runs on the event loop, so it must be quick. What a hook
returns is recorded with its step, so a turn that resumes does not call it again. A hook is called
twice only if a worker died before that record was stored; `on_start` is called before each attempt
of the model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ...tools.context import ToolContext
from ..models.model import ModelRequest, ModelResponse, ToolCall
from ..threads.turn import CallOutcome, TurnResult

if TYPE_CHECKING:
    from .context import AgentContext
    from .route import Route


@dataclass(frozen=True)
class Halt:
    """Returned by `on_start` to end the turn without asking the model; `text` becomes its text."""

    text: str = ""


OnStart: TypeAlias = "Callable[[AgentContext[Any], ModelRequest], _Start | Awaitable[_Start]]"
"""Called before each inference. Returns another request, a `Halt`, or None to change nothing."""
OnResponse: TypeAlias = (
    "Callable[[AgentContext[Any], ModelResponse], _Response | Awaitable[_Response]]"
)
"""Called after each inference, before its tools. Returns another response, or None to keep it."""
OnFinish: TypeAlias = "Callable[[AgentContext[Any], TurnResult], _Finish | Awaitable[_Finish]]"
"""Called once, at the end of a turn. Returns another result, or None to keep it."""
Enabled: TypeAlias = "Callable[[Route[Any]], bool | Awaitable[bool]]"
"""Called before each routing decision. Returns whether the agent may be chosen."""
BeforeTool: TypeAlias = "Callable[[ToolContext[Any], ToolCall], _Before | Awaitable[_Before]]"
"""Called before a tool. Returns a call with other arguments, a result to use instead (a
`CallOutcome` or text), or None. When it raises, the tool does not run and the model sees why."""
AfterTool: TypeAlias = (
    "Callable[[ToolContext[Any], ToolCall, CallOutcome], _After | Awaitable[_After]]"
)
"""Called after a tool, failed or not. Returns another outcome, text to use instead, or None."""

_Start: TypeAlias = "ModelRequest | Halt | None"
_Response: TypeAlias = "ModelResponse | None"
_Finish: TypeAlias = "TurnResult | None"
_Before: TypeAlias = "ToolCall | CallOutcome | str | None"
_After: TypeAlias = "CallOutcome | str | None"
