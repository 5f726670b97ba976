"""Detects a function that repeats an effect before its first step when it is entered again.

Only the steps of a function with durable steps are recorded. After a wait the function is entered
from its start, and what it does before its first step happens again: it may send a message twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_NOTICEABLE = 0.1
"""Seconds of computation without a pause that count as having done something."""


class _Reentry:
    """A function that was entered again and has not reached its first step."""

    def __init__(self, warn: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._began = loop.time()
        self._warn: Callable[[], None] | None = warn
        self._paused = False
        loop.call_soon(self._pause)

    def _pause(self) -> None:
        self._paused = True  # it awaits something that is not a step

    def note_step(self) -> None:
        """Note that the function has reached a step."""
        warn, self._warn = self._warn, None
        if warn is not None and (self._paused or self._time() - self._began > _NOTICEABLE):
            warn()


_reentry: ContextVar[_Reentry | None] = ContextVar("_reentry", default=None)


@contextmanager
def watch_reentry(warn: Callable[[], None]) -> Generator[None]:
    """Runs a function again; calls `warn` if it does something before its first step."""
    token = _reentry.set(_Reentry(warn))
    try:
        yield
    finally:
        _reentry.reset(token)


def note_step() -> None:
    """Note that a body has reached a step."""
    entry = _reentry.get()
    if entry is not None:
        entry.note_step()
