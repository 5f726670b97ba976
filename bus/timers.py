"""Deadlines that outlive every worker: JetStream message schedules (ADR-51, server >= 2.12).

A schedule only wakes somebody: it may fire late, twice, or for something that is over. What it
means is decided in the run's log.
"""

from __future__ import annotations

from datetime import UTC, datetime

from .requests import Requests

STREAM = "TIMERS"


class Timers:
    """Arms wake-ups; they arrive as mail on `due.<name>`."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def arm(self, name: str, at: float, body: bytes) -> None:
        """Deliver `body` on `due.<name>` at `at` (Unix seconds), at once when that is past.

        `name` must be new for every deadline: a moved schedule can be lost while it fires.
        Arming the same name for the same time again is harmless.
        """
        names = self._requests.names
        when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        headers = {
            "Nats-Schedule": f"@at {when.replace('+00:00', 'Z')}",
            "Nats-Schedule-Target": names.subject(f"due.{name}"),
        }
        await self._requests.store(names.subject(f"timer.{name}"), body, headers)

    async def disarm(self, name: str) -> None:
        """Forget a wake-up that would find nothing to do. Repeatable."""
        names = self._requests.names
        named = names.subject(f"timer.{name}")
        await self._requests.api(f"STREAM.PURGE.{names.stream(STREAM)}", {"filter": named})
