"""Deadlines that outlive every worker: JetStream message schedules (ADR-51, server >= 2.12).

A schedule only wakes a worker: it may fire late, twice, or for something that is over. The run's
log decides what it means.
"""

from __future__ import annotations

from datetime import UTC, datetime

from .group_commit import GroupCommit
from .requests import Requests

STREAM = "TIMERS"
DUE = "due"
"""The first word of the subjects on which wake-ups arrive."""
RUNG = "rung"
"""The first word for rungs of questions' ladders, which have their own mailbox: thousands at once
delay no deadline, and workers of releases that know no ladders do not get them."""

HELD = "layby.held"
"""The first words for cards that quiet hours hold: only apps with channels have them."""


class Timers:
    """Arms wake-ups; they arrive as mail on `due.<name>`, `rung.<name>`, or `layby.held.<name>`."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._group = GroupCommit(requests, requests.names.stream(STREAM))

    async def arm(self, name: str, at: float, body: bytes, *, word: str = DUE) -> None:
        """Deliver `body` on `<word>.<name>` at `at` (Unix seconds), immediately if that is past.

        `name` must be new for every deadline: a moved schedule can be lost while it fires.
        Arming the same name for the same time again is harmless.
        """
        names = self._requests.names
        when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        headers = {
            "Nats-Schedule": f"@at {when.replace('+00:00', 'Z')}",
            "Nats-Schedule-Target": names.subject(f"{word}.{name}"),
        }
        await self._group.store(name, names.subject(f"timer.{name}"), body, headers)

    async def disarm(self, name: str) -> None:
        """Cancel a wake-up that is no longer needed. Repeatable."""
        names = self._requests.names
        named = names.subject(f"timer.{name}")
        await self._requests.api(f"STREAM.PURGE.{names.stream(STREAM)}", {"filter": named})
