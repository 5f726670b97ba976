"""What surrounds an agent that takes a turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ..models.model import Model
from ..state.state import StateType


class Surroundings(Protocol):
    """What an agent needs from the network in which it takes a turn."""

    @property
    def default_model(self) -> Model | None:
        """The model of agents that have none of their own."""
        ...

    @property
    def state_type(self) -> StateType:
        """The type of its state."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoNetwork:
    """The surroundings of an agent that works without a network."""

    default_model: Model | None = None
    state_type: StateType = field(default_factory=StateType)


NOWHERE = NoNetwork()
