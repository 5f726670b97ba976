"""What a tool is told about the run that calls it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..runtime.step import Step


@dataclass(frozen=True, kw_only=True)
class ToolContext:
    """The run, agent and state around a tool call."""

    run_id: str
    ticket: str
    agent: str
    """The name of the agent that calls."""
    network: str
    """The name of its network, empty when it has none."""
    step: Step
    """Durable verbs for the tool's own use: `run`, `sleep`, `ask` and the others."""
    idempotency_key: str
    """The same on every try of this call, for effects in the outside world."""
    state: dict[str, Any] = field(default_factory=dict)
    """The network's state. Keys that the tool sets are recorded with its result."""
