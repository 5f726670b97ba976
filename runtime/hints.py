"""What workers tell each other outside the streams: a hint that a run's log has something new.

Whoever may publish on such a subject can say anything, so a hint is never obeyed: it has the log
looked at, once a second for each run at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from ..bus.errors import BusError
from ..bus.token import is_word

log = structlog.get_logger("layby.worker")

_PAUSE = 1.0
"""Seconds between two looks at one run."""
_AT_ONCE = 16
_MOST = 1_000
"""Runs that are looked at, or were within the last second; further hints are not heeded."""

Look = Callable[[str], Awaitable[Any]]
"""Looks at the log of a run, by its id."""


class Hints:
    """Has the logs of runs looked at that somebody has spoken of."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._heard: dict[str, bool] = {}
        """Runs that are looked at, and whether they were spoken of again since the look began."""
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, run: str) -> None:
        """Have a run looked at, now or when its last look is a second old."""
        if run in self._heard:
            self._heard[run] = True
        elif is_word(run) and len(self._heard) < _MOST:
            self._heard[run] = False
            task = asyncio.ensure_future(self._serve(run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, run: str) -> None:
        again = True
        try:
            while again:
                self._heard[run] = False
                try:
                    async with self._slots:
                        await self._look(run)
                except BusError as error:
                    log.info("hint.postponed", run=run, error=str(error))
                    self._heard[run] = True
                await asyncio.sleep(_PAUSE)
                again = self._heard[run]
        finally:
            del self._heard[run]
