"""What a tool knows about the run that calls it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from ..runtime.step import Step

S = TypeVar("S", default=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class ToolContext(Generic[S]):
    """The run, agent and state of a tool call; `ToolContext[MyState]` for a typed state."""

    run_id: str
    """The id of the run."""
    ticket: str
    """The ticket that the run is about; empty in `agent.run()`."""
    agent: str
    """The name of the calling agent."""
    network: str
    """The name of its network; empty when it has none."""
    step: Step
    """Durable verbs for the tool to use: `run`, `sleep`, `ask` and the others.

    A tool that waits runs again from its start: whatever it does outside `run` happens again.
    """
    idempotency_key: str
    """A key that is the same on every attempt of this call, for effects in other systems."""
    state: S = field(default_factory=lambda: cast("Any", {}))
    """The network's state. Changes are validated and recorded with the tool's result."""
    agent_state: dict[str, Any] = field(default_factory=dict[str, Any])
    """The agent's own state, which no other agent sees; recorded in the same way."""
    tokens_left: int | None = None
    """Tokens left in the network's budget when the call began; None: there is no budget."""
