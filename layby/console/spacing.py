"""Keeps what is done again and again from being done all the time."""

from __future__ import annotations

import asyncio


class Spacing:
    """Lets a few turns follow each other at once, and spaces them in the long run.

    The token bucket of traffic shaping (RFC 3290, appendix A.1), with one token for each turn.
    """

    def __init__(self, seconds: float, burst: float = 3.0) -> None:
        """`seconds` between two turns in the long run; `burst`: turns without a pause."""
        self._seconds = seconds
        self._burst = self._left = burst
        self._at = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        """Return when one more turn may be taken."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + (now - self._at) / self._seconds) - 1.0
        self._at = now
        await asyncio.sleep(max(0.0, -self._left * self._seconds))
