"""Many open questions with ladders: what they cost a worker, and rungs that are due at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from layby.bus.opened import opened
from layby.bus.settings import ConnectionSettings
from layby.client import Client

from . import ladder_desk
from .drive import each
from .measure import Figure, resident_bytes
from .server import server
from .sizes import Sizes
from .worker import workers

WORKLOAD = "ladder"
_FILL = 15_000
"""Questions asked before anything is measured: by then the caches of the worker are full."""
_AT_ONCE = 256
_SETTLE = 3.0
_SLOWEST = 150
"""Questions a second, at least, that a worker is given time to ask."""
_FAR = 86_400.0
_POLL = 0.01
_WITHIN = 300.0


class _Count:
    """Messages on a subject that fit."""

    def __init__(self, fits: Callable[[Any], bool]) -> None:
        self._fits = fits
        self.found = 0

    async def take(self, message: Any) -> None:
        self.found += self._fits(message)

    async def reaches(self, count: int) -> float:
        """When so many have come."""
        async with asyncio.timeout(_WITHIN):
            while self.found < count:  # noqa: ASYNC110
                await asyncio.sleep(_POLL)
        return time.time()


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Memory of one worker for each open question, and seconds until all rungs are recorded."""
    count = sizes.ladder_questions
    async with (
        server(sync) as nats,
        workers(nats.url, nats.data, app="benchmarks.ladder_desk:app") as [worker],
        Client.connect(ConnectionSettings(servers=(nats.url,))) as client,
        opened(ConnectionSettings(servers=(nats.url,))) as bus,
    ):
        asked = _Count(lambda _: True)
        recorded = _Count(lambda message: b'"k":"reached"' in message.data)
        published = _Count(lambda message: "Layby-Reminder" in (message.headers or {}))
        nc = bus.connection.nc
        await nc.subscribe("developer.question.*", cb=asked.take)
        await nc.subscribe("developer.question.*", cb=published.take)
        await nc.subscribe("to.*.human-developer.>", cb=recorded.take)
        await nc.flush()

        async def ask(first: int, end: int, due: float) -> None:
            async def send(ticket: str) -> None:
                await client.send(ladder_desk.EVENT, {"ticket": ticket, "due": due})

            await each([f"L{number}" for number in range(first, end)], send, _AT_ONCE)
            await asked.reaches(end)
            await asyncio.sleep(_SETTLE)

        await ask(0, _FILL, time.time() + _FAR)
        before = resident_bytes([worker.pid])
        due = time.time() + count / _SLOWEST + 2 * _SETTLE
        await ask(_FILL, _FILL + count, due)
        after = resident_bytes([worker.pid])
        if time.time() > due or recorded.found:
            raise RuntimeError("asking took so long that rungs came due meanwhile")
        seconds = await recorded.reaches(count) - due
        shown = await published.reaches(count) - due
    found = [
        ("open questions with a ladder", count, "questions"),
        ("worker per open question", (after - before) / count, "bytes/question"),
        ("rungs due at once -> all recorded", seconds, "s"),
        ("rungs due at once -> all published", shown, "s"),
    ]
    return [Figure(WORKLOAD, name, value, unit, sync=sync) for name, value, unit in found]
