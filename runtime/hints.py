"""What workers tell each other outside the streams: a hint that a run's log has something new.

Anyone who may publish on such a subject can send anything, so a hint is never obeyed: it only makes
the worker read the log, at most once a second for each run.
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
"""Seconds between two reads of the same run."""
_AT_ONCE = 16
_MOST = 1_000
"""Runs that are being read, or were in the last second; further hints are ignored."""

Check = Callable[[str], Awaitable[Any]]
"""Reads the log of a run, by its id."""


class Hints:
    """Checks the runs that hints name, with a limit on how often."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._active: dict[str, bool] = {}
        """Runs being checked, and whether another hint has come since the check began."""
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, run: str) -> None:
        """Check a run, now or a second after its last check."""
        if run in self._active:
            self._active[run] = True
        elif is_word(run) and len(self._active) < _MOST:
            self._active[run] = False
            task = asyncio.ensure_future(self._serve(run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel the checks in progress."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, run: str) -> None:
        again = True
        try:
            while again:
                self._active[run] = False
                try:
                    async with self._slots:
                        await self._check(run)
                except BusError as error:
                    log.info("hint.postponed", run=run, error=str(error))
                    self._active[run] = True
                await asyncio.sleep(_PAUSE)
                again = self._active[run]
        finally:
            del self._active[run]
