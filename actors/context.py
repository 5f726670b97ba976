"""What an agent's instructions and hooks are told about the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic

from .turn import S


@dataclass(frozen=True, kw_only=True)
class AgentContext(Generic[S]):
    """The run and the state around an agent's turn."""

    run_id: str
    ticket: str
    network: str
    """The name of its network."""
    input: str
    """What the network is to do."""
    state: S
    """The network's state; a copy, for only tools change it."""
    agent: str = ""
    """The agent's name."""
    agent_state: dict[str, Any] = field(default_factory=dict[str, Any])
    """The agent's own state; a copy."""
