"""Durable networks of AI agents on NATS that pull over and wait for a human.

The face: it names what users import, and loads a name's module when the name is first used, so
that `import layby`, and with it the `layby` command, is there at once.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .actors.agent import Agent, tool_called
    from .actors.context import AgentContext
    from .actors.delegation import handoff
    from .actors.history import Past, last_n, token_budget
    from .actors.hooks import Halt
    from .actors.network import Network, Tokens
    from .actors.output import BadOutput
    from .actors.router import Done, Route, RoutingAgent
    from .actors.turn import CallOutcome, CallRecord, NetworkResult, TurnResult
    from .actors.workflow_step import WorkflowStep as Step
    from .app import App
    from .bus.keyring import Keyring, KeyService
    from .runtime.asking import Answer
    from .runtime.errors import (
        AskTimedOut,
        BudgetSpent,
        LaybyError,
        MaxTurns,
        NeedsServer,
        NonRetriableError,
        QuestionLimit,
        RetryAfter,
        StepFailed,
    )
    from .runtime.failing import AskOnFailure
    from .runtime.retry import Retry
    from .runtime.role import Role
    from .tools.context import ToolContext
    from .tools.errors import Fatal, ToolError
    from .tools.tool import Tool, tool

__all__ = [
    "Agent",
    "AgentContext",
    "Answer",
    "App",
    "AskOnFailure",
    "AskTimedOut",
    "BadOutput",
    "BudgetSpent",
    "CallOutcome",
    "CallRecord",
    "Done",
    "Fatal",
    "Halt",
    "KeyService",
    "Keyring",
    "LaybyError",
    "MaxTurns",
    "NeedsServer",
    "Network",
    "NetworkResult",
    "NonRetriableError",
    "Past",
    "QuestionLimit",
    "Retry",
    "RetryAfter",
    "Role",
    "Route",
    "RoutingAgent",
    "Step",
    "StepFailed",
    "Tokens",
    "Tool",
    "ToolContext",
    "ToolError",
    "TurnResult",
    "handoff",
    "last_n",
    "token_budget",
    "tool",
    "tool_called",
]

_HOMES = {
    "Agent": "actors.agent",
    "AgentContext": "actors.context",
    "Answer": "runtime.asking",
    "App": "app",
    "AskTimedOut": "runtime.errors",
    "BadOutput": "actors.output",
    "BudgetSpent": "runtime.errors",
    "CallOutcome": "actors.turn",
    "CallRecord": "actors.turn",
    "Done": "actors.router",
    "Fatal": "tools.errors",
    "Halt": "actors.hooks",
    "KeyService": "bus.keyring",
    "Keyring": "bus.keyring",
    "LaybyError": "runtime.errors",
    "MaxTurns": "runtime.errors",
    "NeedsServer": "runtime.errors",
    "Network": "actors.network",
    "NetworkResult": "actors.turn",
    "NonRetriableError": "runtime.errors",
    "Past": "actors.history",
    "QuestionLimit": "runtime.errors",
    "AskOnFailure": "runtime.failing",
    "Retry": "runtime.retry",
    "RetryAfter": "runtime.errors",
    "Role": "runtime.role",
    "Route": "actors.router",
    "RoutingAgent": "actors.router",
    "Step": "actors.workflow_step:WorkflowStep",
    "StepFailed": "runtime.errors",
    "Tokens": "actors.network",
    "Tool": "tools.tool",
    "ToolContext": "tools.context",
    "ToolError": "tools.errors",
    "TurnResult": "actors.turn",
    "handoff": "actors.delegation",
    "last_n": "actors.history",
    "token_budget": "actors.history",
    "tool": "tools.tool",
    "tool_called": "actors.agent",
}

# Type checkers must not see this: they would then take any name for one of ours.
if not TYPE_CHECKING:

    def __getattr__(name):
        from importlib import import_module  # noqa: PLC0415  only once something is used

        home, _, original = _HOMES.get(name, "").partition(":")
        if not home:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f".{home}", __name__), original or name)
        globals()[name] = found
        return found

    def __dir__():
        return [*globals(), *__all__]
