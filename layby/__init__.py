"""Durable networks of AI agents on NATS that pull over and wait for a human.

Lists what users import, and loads a name's module when the name is first used, so that
`import layby` and the `layby` command start fast.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .actors.agents.agent import Agent
    from .actors.agents.context import AgentContext
    from .actors.agents.definition import tool_called
    from .actors.agents.delegation import handoff
    from .actors.agents.hooks import Halt
    from .actors.agents.output import BadOutput
    from .actors.agents.route import Candidate, Route
    from .actors.networks.network import Network, Tokens
    from .actors.networks.router import Done, RoutingAgent
    from .actors.threads.history import Past, last_n, token_budget
    from .actors.threads.turn import CallOutcome, CallRecord, NetworkResult, TurnResult
    from .actors.workflows.workflow_step import WorkflowStep as Step
    from .app import App
    from .bus.keyring import Keyring, KeyService
    from .runtime.ask_on_failure import AskOnFailure
    from .runtime.errors import (
        AskTimedOut,
        BudgetSpent,
        LaybyError,
        MaxTurns,
        NeedsServer,
        NonRetriableError,
        NoQuorum,
        QuestionLimit,
        RetryAfter,
        StepFailed,
    )
    from .runtime.explaining import AskBack
    from .runtime.given_answer import Answer
    from .runtime.retry import Retry
    from .runtime.role import Role
    from .runtime.rung import Rung
    from .runtime.vote import Vote
    from .tools.approvers import Approvers
    from .tools.context import ToolContext
    from .tools.errors import Fatal, ToolError
    from .tools.tool import Tool, tool

__all__ = [
    "Agent",
    "AgentContext",
    "Answer",
    "App",
    "Approvers",
    "AskBack",
    "AskOnFailure",
    "AskTimedOut",
    "BadOutput",
    "BudgetSpent",
    "CallOutcome",
    "CallRecord",
    "Candidate",
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
    "NoQuorum",
    "NonRetriableError",
    "Past",
    "QuestionLimit",
    "Retry",
    "RetryAfter",
    "Role",
    "Route",
    "RoutingAgent",
    "Rung",
    "Step",
    "StepFailed",
    "Tokens",
    "Tool",
    "ToolContext",
    "ToolError",
    "TurnResult",
    "Vote",
    "handoff",
    "last_n",
    "token_budget",
    "tool",
    "tool_called",
]

_HOMES = {
    "Agent": "actors.agents.agent",
    "AgentContext": "actors.agents.context",
    "Answer": "runtime.given_answer",
    "App": "app",
    "Approvers": "tools.approvers",
    "AskBack": "runtime.explaining",
    "AskTimedOut": "runtime.errors",
    "BadOutput": "actors.agents.output",
    "BudgetSpent": "runtime.errors",
    "CallOutcome": "actors.threads.turn",
    "CallRecord": "actors.threads.turn",
    "Candidate": "actors.agents.route",
    "Done": "actors.networks.router",
    "Fatal": "tools.errors",
    "Halt": "actors.agents.hooks",
    "KeyService": "bus.keyring",
    "Keyring": "bus.keyring",
    "LaybyError": "runtime.errors",
    "MaxTurns": "runtime.errors",
    "NeedsServer": "runtime.errors",
    "Network": "actors.networks.network",
    "NetworkResult": "actors.threads.turn",
    "NoQuorum": "runtime.errors",
    "NonRetriableError": "runtime.errors",
    "Past": "actors.threads.history",
    "QuestionLimit": "runtime.errors",
    "AskOnFailure": "runtime.ask_on_failure",
    "Retry": "runtime.retry",
    "RetryAfter": "runtime.errors",
    "Role": "runtime.role",
    "Route": "actors.agents.route",
    "RoutingAgent": "actors.networks.router",
    "Rung": "runtime.rung",
    "Step": "actors.workflows.workflow_step:WorkflowStep",
    "StepFailed": "runtime.errors",
    "Tokens": "actors.networks.network",
    "Tool": "tools.tool",
    "ToolContext": "tools.context",
    "ToolError": "tools.errors",
    "TurnResult": "actors.threads.turn",
    "Vote": "runtime.vote",
    "handoff": "actors.agents.delegation",
    "last_n": "actors.threads.history",
    "token_budget": "actors.threads.history",
    "tool": "tools.tool",
    "tool_called": "actors.agents.definition",
}

# Hidden from type checkers: they would accept any name as one of ours.
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
