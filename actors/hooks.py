"""The places around an agent's turn where a user's own functions are called.

All may be sync or async; a sync one runs on the event loop, so it must be quick. What they return
is recorded with the step that they belong to: when a turn is entered again they are not called
again. They are called twice only where a worker died before that record, and `on_start` before
each try of its model.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..tools.context import ToolContext
from .model import ModelRequest, ModelResponse, ToolCall
from .turn import CallOutcome, TurnResult

if TYPE_CHECKING:
    from .context import AgentContext
    from .router import Route


@dataclass(frozen=True)
class Halt:
    """Returned by `on_start` to end the turn without asking the model; `text` is what is said."""

    text: str = ""


OnStart: TypeAlias = "Callable[[AgentContext[Any], ModelRequest], _Start | Awaitable[_Start]]"
"""Called before each inference: another request, a `Halt`, or None for the request as it is."""
OnResponse: TypeAlias = (
    "Callable[[AgentContext[Any], ModelResponse], _Response | Awaitable[_Response]]"
)
"""Called after each inference, before its tools: another response, or None to leave it."""
OnFinish: TypeAlias = "Callable[[AgentContext[Any], TurnResult], _Finish | Awaitable[_Finish]]"
"""Called once, at the end of a turn: another result, or None to leave it."""
Enabled: TypeAlias = "Callable[[Route[Any]], bool | Awaitable[bool]]"
"""Called before each routing decision: whether the agent may be chosen."""
BeforeTool: TypeAlias = "Callable[[ToolContext[Any], ToolCall], _Before | Awaitable[_Before]]"
"""Called before a tool: a call with other arguments, a result in its place (a `CallOutcome`, or
text), or None. When it raises, the tool does not run and the model is told why."""
AfterTool: TypeAlias = (
    "Callable[[ToolContext[Any], ToolCall, CallOutcome], _After | Awaitable[_After]]"
)
"""Called after a tool, failed or not: another outcome, text to put in its place, or None."""

_Start: TypeAlias = "ModelRequest | Halt | None"
_Response: TypeAlias = "ModelResponse | None"
_Finish: TypeAlias = "TurnResult | None"
_Before: TypeAlias = "ToolCall | CallOutcome | str | None"
_After: TypeAlias = "CallOutcome | str | None"


async def settled(value: Any) -> Any:
    """What a function returned, awaited where it is async."""
    return await value if inspect.isawaitable(value) else value
