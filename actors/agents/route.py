"""What routers and `enabled` functions decide by when the next agent is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol

from ..models.attachment import Attachment
from ..threads.turn import S, Said, TurnResult


class Candidate(Protocol):
    """A member of a network that may be chosen: an agent, or a nested network."""

    @property
    def name(self) -> str:
        """Its name for routers."""
        ...

    @property
    def description(self) -> str:
        """What it is for."""
        ...


@dataclass(frozen=True, kw_only=True)
class Route(Generic[S]):
    """What a router decides by."""

    input: str
    """The network's task."""
    turns: list[TurnResult]
    """The turns taken so far."""
    agents: Mapping[str, Candidate]
    """The agents that may be chosen now, by name."""
    state: S
    """A copy of the network's state, as its type: only tools can change it."""
    ticket: str = ""
    """The ticket that the run is about."""
    before: list[Said] = field(default_factory=list[Said])
    """The thread before this run."""
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    """Images and documents that belong to `input`."""

    @property
    def last(self) -> TurnResult | None:
        """The latest turn; None before the first."""
        return self.turns[-1] if self.turns else None

    def called(self, tool: str) -> bool:
        """Whether any turn has called `tool` without an error."""
        return any(turn.called(tool) for turn in self.turns)
