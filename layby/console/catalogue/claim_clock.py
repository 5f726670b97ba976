"""Tells when claims expire: nothing is stored then, but pages must show it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from ...views.rows import QuestionRow

_LATER: Final = 0.02
"""Seconds after which a claim that should have expired is looked at again."""


class ClaimClock:
    """A timer for each open question that somebody has claimed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` is called with the id of a question whose claim has expired."""
        self._tell = tell
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def running(self) -> int:
        """How many claims it waits for."""
        return len(self._timers)

    def note(self, question: str, row: QuestionRow | None) -> None:
        """Wait for the claim of a question, or for none; None: it is closed."""
        if (timer := self._timers.pop(question, None)) is not None:
            timer.cancel()
        if row is not None and row.claim is not None:
            self._wait(question, datetime.fromisoformat(row.claim.until).timestamp())

    def stop(self) -> None:
        """Stop waiting for claims."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _wait(self, question: str, until: float) -> None:
        left = max(_LATER, until - time.time())
        loop = asyncio.get_running_loop()
        self._timers[question] = loop.call_later(left, self._due, question, until)

    def _due(self, question: str, until: float) -> None:
        del self._timers[question]
        if time.time() <= until:  # the clock was set back, or this timer is early
            self._wait(question, until)
        else:
            self._tell(question)
