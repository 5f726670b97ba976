"""Calls functions a fixed time from now, with one timer for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class DelayQueue:
    """Calls functions `delay` seconds after they were added, in that order.

    A timer for each function would cost an operation on the event loop's heap of timers.
    """

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self._due: deque[tuple[float, Callable[[], None]]] = deque()
        self._loop = asyncio.get_running_loop()

    def add(self, call: Callable[[], None]) -> None:
        """Call `call` after the delay."""
        self._due.append((self._loop.time() + self.delay, call))
        if len(self._due) == 1:
            self._loop.call_at(self._due[0][0], self._run_due)

    def _run_due(self) -> None:
        now = self._loop.time()
        while self._due and self._due[0][0] <= now:
            # Called by the loop: an error in one is reported, and does not affect the others.
            self._loop.call_soon(self._due.popleft()[1])
        if self._due:
            self._loop.call_at(self._due[0][0], self._run_due)
