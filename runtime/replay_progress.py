"""Whether a body that is entered again reaches everything that it recorded before."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from .entry import Raw, Started
from .errors import WorkflowChanged
from .state import Frame, RunState

_TURNS = 400
"""Turns of the event loop that strands get to reach their records once none seems to move."""


class ReplayProgress:
    """The recorded keys that a body has still to reach."""

    def __init__(self, state: RunState, frame: Frame, opening: Started | None = None) -> None:
        self.state = state
        self._opening = opening
        """The record that begins the run, until the log holds it."""
        self.frame = frame
        self._expected: set[str] = set()
        self._parallel = 0
        """How many branches of the body have not ended."""
        self._idle = 0
        """How many of these are waiting: for each other, or for branches of their own."""

    @property
    def ticket(self) -> str:
        """The ticket of the run, known even before its opening is recorded."""
        return (self._unrecorded or self.state).ticket

    @property
    def event(self) -> Raw:
        """The event that began the run, known even before its opening is recorded."""
        return (self._unrecorded or self.state).event

    @property
    def _unrecorded(self) -> Started | None:
        """The opening, until it is recorded."""
        return None if self.state.frames else self._opening

    def expect(self, keys: set[str]) -> None:
        """Require the body to reach these recorded keys before it does anything new."""
        self._expected = keys

    def reached(self, key: str) -> None:
        """Note that the body has reached `key`."""
        self._expected.discard(key)

    def changed(self, key: str) -> None:
        """Raise WorkflowChanged: the body no longer reaches `key` as it is recorded."""
        raise WorkflowChanged(f"recorded step {key!r} is no longer reached by the body")

    @contextmanager
    def branching(self, tasks: Sequence[asyncio.Future[Any]]) -> Generator[None]:
        """While the block runs, the body waits for `tasks`, its concurrent branches."""
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

    async def check_replayed(self) -> None:
        """Let concurrent strands reach their records, for as long as any of them moves.

        Raises:
            WorkflowChanged: none moves, and some records were not reached.
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
