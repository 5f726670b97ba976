"""Durable networks of AI agents on NATS that pull over and wait for a human."""

# The face: the public names, each at home in one of the four floors. They are imported when they
# are first used, so that `layby --help` need not wait for NATS, pydantic and the rest.

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .actors.agent import Agent, AgentContext, tool_called
    from .actors.network import Network
    from .actors.router import Done, Route, RoutingAgent
    from .actors.turn import CallRecord, NetworkResult, TurnResult
    from .actors.workflow import WorkflowStep as Step
    from .app import App
    from .runtime.errors import (
        AskTimedOut,
        LaybyError,
        MaxTurns,
        NonRetriableError,
        QuestionLimit,
        RetryAfter,
        StepFailed,
    )
    from .runtime.retry import Retry
    from .runtime.step import Answer
    from .tools.context import ToolContext
    from .tools.errors import ToolError
    from .tools.tool import Tool, tool

__all__ = [
    "Agent",
    "AgentContext",
    "Answer",
    "App",
    "AskTimedOut",
    "CallRecord",
    "Done",
    "LaybyError",
    "MaxTurns",
    "Network",
    "NetworkResult",
    "NonRetriableError",
    "QuestionLimit",
    "Retry",
    "RetryAfter",
    "Route",
    "RoutingAgent",
    "Step",
    "StepFailed",
    "Tool",
    "ToolContext",
    "ToolError",
    "TurnResult",
    "tool",
    "tool_called",
]

_HOMES = {
    "actors.agent": "Agent AgentContext tool_called",
    "actors.network": "Network",
    "actors.router": "Done Route RoutingAgent",
    "actors.turn": "CallRecord NetworkResult TurnResult",
    "actors.workflow": "WorkflowStep",
    "app": "App",
    "runtime.errors": "AskTimedOut LaybyError MaxTurns NonRetriableError QuestionLimit RetryAfter "
    "StepFailed",
    "runtime.retry": "Retry",
    "runtime.step": "Answer",
    "tools.context": "ToolContext",
    "tools.errors": "ToolError",
    "tools.tool": "Tool tool",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
_OTHERWISE = {"Step": "WorkflowStep"}
"""Public names that are called differently at home."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _OTHERWISE.get(name, name)
    found = getattr(import_module(f".{_HOME[home]}", __name__), home)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
