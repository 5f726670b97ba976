"""What the runtime requires of an actor."""

from __future__ import annotations

from typing import Any, Protocol

from .actor_step import ActorStep
from .state import Frame, RunState


class Behaviour(Protocol):
    """A kind of actor: what its frames do."""

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        ...

    @property
    def strict(self) -> bool:
        """Whether the body is user code, which must match its recorded steps."""
        ...

    async def enter(self, step: ActorStep, frame: Frame, state: RunState) -> Any:
        """Run the body from its start."""
        ...
