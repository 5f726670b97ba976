"""Waits out the elections of a cluster. A stream that is missing looks the same for a while."""

from __future__ import annotations

import asyncio

from ..bus.errors import BusError

PATIENCE = 30.0
"""Seconds after which nobody is expected to lead any more: several elections."""
_PAUSE = 0.2


class LeaderWait:
    """One wait for a leader, which begins with the first refusal."""

    def __init__(self) -> None:
        self._since: float | None = None

    def reset(self) -> None:
        """Begin anew: there may have been a leader meanwhile."""
        self._since = None

    async def pause(self, refusal: BusError) -> None:
        """Let a moment pass after a refusal; raise it once it has lasted for too long."""
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        if now - self._since > PATIENCE:
            raise refusal
        await asyncio.sleep(_PAUSE)
