"""What an agent's instructions and hooks know about the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic

from ..threads.turn import S


@dataclass(frozen=True, kw_only=True)
class AgentContext(Generic[S]):
    """The run and the state around an agent's turn."""

    run_id: str
    """The id of the run."""
    ticket: str
    """The ticket that the run is about; empty in `agent.run()`."""
    network: str
    """The name of its network."""
    input: str
    """The network's task."""
    state: S
    """A copy of the network's state: only tools can change it."""
    agent: str = ""
    """The agent's name."""
    agent_state: dict[str, Any] = field(default_factory=dict[str, Any])
    """A copy of the agent's own state."""
