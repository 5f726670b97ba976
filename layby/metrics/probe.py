"""Whether a process is alive, and whether it can do its work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

Check = Callable[[], str]
"""Says in a few words why the process cannot do its work; empty: it can. Called in any thread."""

STUCK: Final = 30.0
"""Seconds after which an event loop that has not run counts as dead."""
_TICK: Final = 0.5


class Probe:
    """The pulse of an event loop, and what it takes to be ready."""

    def __init__(self) -> None:
        self.checks: list[Check] = [lambda: "it is starting"]
        """What it takes to be ready; replaced once the process has started."""
        self._ticked = time.monotonic()

    @property
    def silent_for(self) -> float:
        """Seconds since the event loop has run."""
        return time.monotonic() - self._ticked

    def why_dead(self) -> str:
        """Why the process should be restarted; empty: it is alive."""
        silent = self.silent_for
        return f"the event loop has not run for {silent:.0f} s" if silent > STUCK else ""

    def why_not_ready(self) -> list[str]:
        """The reasons why it cannot do its work now; empty: it is ready."""
        found = [self.why_dead(), *(check() for check in self.checks)]
        return [each for each in found if each]

    async def keep(self, on_lag: Callable[[float], None]) -> None:
        """Tick until cancelled; tell by how many seconds each tick was late."""
        while True:
            due = time.monotonic() + _TICK
            await asyncio.sleep(_TICK)
            self._ticked = time.monotonic()
            on_lag(max(0.0, self._ticked - due))
