"""Whether a body that is entered again comes to everything that it has recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from .entry import Raw, Started
from .errors import WorkflowChanged
from .state import Frame, RunState

_TURNS = 400
"""Turns of the loop that strands get to reach their records once none seems to move."""


class Reaching:
    """The recorded keys that a body has still to come to."""

    def __init__(self, state: RunState, frame: Frame, opening: Started | None = None) -> None:
        self.state = state
        self._opening = opening
        """What begins the run, on its way into the log."""
        self.frame = frame
        self._expected: set[str] = set()
        self._parallel = 0
        """Branches of the body that have not ended."""
        self._idle = 0
        """How many of them wait: for each other, or for branches of their own."""

    @property
    def ticket(self) -> str:
        """The ticket that the run is about, before its opening is recorded too."""
        return (self._told or self.state).ticket

    @property
    def event(self) -> Raw:
        """The event that began the run, likewise."""
        return (self._told or self.state).event

    @property
    def _told(self) -> Started | None:
        """The opening, until the log holds one."""
        return None if self.state.frames else self._opening

    def expect(self, keys: set[str]) -> None:
        """Demand that the body reaches these recorded keys before it does anything new."""
        self._expected = keys

    def reached(self, key: str) -> None:
        """Note that the body has come to `key`."""
        self._expected.discard(key)

    def changed(self, key: str) -> None:
        """Raise WorkflowChanged for a recorded `key` that the body does not reach as recorded."""
        raise WorkflowChanged(f"recorded step {key!r} is not reached by the body any more")

    @contextmanager
    def branching(self, tasks: Sequence[asyncio.Future[Any]]) -> Generator[None]:
        """The body waits for `tasks`, branches of it that run side by side."""
        inside = self._parallel > 0  # a branch of a branch: its parent waits
        self._parallel += len(tasks)
        self._idle += inside
        for task in tasks:
            task.add_done_callback(self._branch_ended)
        try:
            yield
        finally:
            self._idle -= inside

    def _branch_ended(self, _: object) -> None:
        self._parallel -= 1

    async def must_be_replayed(self) -> None:
        """Let parallel strands reach their records, as long as any of them moves.

        Raises:
            WorkflowChanged: none moves, and they have not reached them.
        """
        inside = self._parallel > 0
        self._idle += inside
        try:
            turn = 0
            while self._expected and turn < _TURNS:
                moving = self._parallel > self._idle
                turn = 0 if moving else turn + 1
                await asyncio.sleep(0.001 if moving or turn > _TURNS // 2 else 0)
        finally:
            self._idle -= inside
        if not self._expected:
            return
        frame = self.state.frames.get(self.frame.id)
        recorded = frame.slots if frame else ()
        self.changed(next((key for key in recorded if key in self._expected), min(self._expected)))
