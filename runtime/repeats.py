"""Notices a function that is entered again after a wait, and does something before its first step.

Of a function with durable steps, only the steps are recorded. When it has waited it is entered from
its start, and what it does before its first step happens again: a message is sent twice, say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_NOTICEABLE = 0.1
"""Seconds that a function may think, without a pause, before it is taken to have done something."""


class _Reentry:
    """A function that was entered again and has not come to its first step."""

    def __init__(self, tell: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._began = loop.time()
        self._tell: Callable[[], None] | None = tell
        self._paused = False
        loop.call_soon(self._pause)

    def _pause(self) -> None:
        self._paused = True  # it has let others go on: it awaits something, which is no step yet

    def reached(self) -> None:
        """It has come to a step."""
        tell, self._tell = self._tell, None
        if tell is not None and (self._paused or self._time() - self._began > _NOTICEABLE):
            tell()


_reentry: ContextVar[_Reentry | None] = ContextVar("_reentry", default=None)


@contextmanager
def reentered(tell: Callable[[], None]) -> Generator[None]:
    """While the block runs a function again: `tell` if it did something before its first step."""
    token = _reentry.set(_Reentry(tell))
    try:
        yield
    finally:
        _reentry.reset(token)


def reached() -> None:
    """Note that a body has come to a step."""
    entry = _reentry.get()
    if entry is not None:
        entry.reached()
