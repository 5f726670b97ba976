"""How an event opens a run: its body is decoded once, for the first record and the first entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from ...runtime.actor_step import ActorStep
from ...runtime.entry import Raw, Started
from ...runtime.state import Frame, RunState


class DecodedEvent(NamedTuple):
    """An event's body, decoded."""

    raw: Raw
    """The body itself."""
    fields: dict[str, Any]
    """Its JSON object."""
    ticket: str
    value: Any
    """What the workflow's function takes: `fields` themselves if it declares no type."""


class Opening(NamedTuple):
    """The run that an event opens."""

    run: str
    """The run's id."""
    started: Started
    """The first record of its log."""
    event: DecodedEvent


Enter = Callable[[ActorStep, Frame, RunState, DecodedEvent | None], Awaitable[Any]]


class FirstEntry:
    """A workflow that is entered with the event that was decoded to open the run.

    Only once: the function may change the value, so a later entry decodes the recorded event.
    """

    strict = True

    def __init__(self, address: str, enter: Enter, event: DecodedEvent) -> None:
        self.address = address
        self._enter = enter
        self._event: DecodedEvent | None = event

    async def enter(self, step: ActorStep, frame: Frame, state: RunState) -> Any:
        """Run the workflow's function from its start."""
        event, self._event = self._event, None
        return await self._enter(step, frame, state, event)
