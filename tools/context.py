"""What a tool is told about the run that calls it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from ..runtime.step import Step

S = TypeVar("S", default=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class ToolContext(Generic[S]):
    """The run, agent and state around a tool call; `ToolContext[MyState]` where it has a type."""

    run_id: str
    """The id of the run."""
    ticket: str
    """The ticket that the run is about; empty in a script."""
    agent: str
    """The name of the agent that calls."""
    network: str
    """The name of its network, empty when it has none."""
    step: Step
    """Durable verbs for the tool's own use: `run`, `sleep`, `ask` and the others.

    A tool that waits is entered from its start again: what it does outside of `run`, it does again.
    """
    idempotency_key: str
    """The same on every try of this call, for effects in the outside world."""
    state: S = field(default_factory=lambda: cast("Any", {}))
    """The network's state. What the tool sets is validated and recorded with its result."""
    agent_state: dict[str, Any] = field(default_factory=dict[str, Any])
    """The agent's own state, which no other agent sees; kept in the same way."""
    tokens_left: int | None = None
    """Tokens that the network's budget had left when the call began; None: it has none."""
