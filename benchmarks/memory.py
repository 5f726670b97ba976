"""What a worker holds in memory while many large runs wait for people."""

from __future__ import annotations

import asyncio

from . import desk
from .caller import Caller
from .drive import each
from .measure import Figure, resident_bytes
from .server import server
from .sizes import Sizes
from .worker import workers

WORKLOAD = "memory"
_HALF = 60_000
"""Characters of an event, and of a step's result: together a record of 120 KB."""
_AT_ONCE = 32
_SETTLE = 3.0


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Memory of one worker that has parked runs of 120 KB, and has seen some of them answered."""
    count = sizes.large_runs
    bulk = "y" * _HALF
    async with (
        server(sync) as nats,
        workers(nats.url, nats.data, environ={desk.BULK: str(_HALF)}) as [worker],
        Caller.at(nats.url) as caller,
    ):
        empty = resident_bytes([worker.pid])

        async def park(ticket: str) -> None:
            await caller.send(desk.TICKET, ticket=ticket, bulk=bulk)
            await caller.parked(ticket)

        async def answer(ticket: str) -> None:
            await caller.answer(ticket)
            await caller.ended(ticket)

        seconds = await each([f"L{number}" for number in range(count)], park, _AT_ONCE)
        await asyncio.sleep(_SETTLE)
        parked = resident_bytes([worker.pid])
        await each([f"L{number}" for number in range(0, count, 20)], answer, _AT_ONCE)
        await asyncio.sleep(_SETTLE)
        answered = resident_bytes([worker.pid])
    found = [
        ("runs of 120 KB parked", count, "runs"),
        ("parking", count / seconds, "runs/s"),
        ("worker memory at its start", empty / 1e6, "MB"),
        ("worker memory with all parked", parked / 1e6, "MB"),
        ("worker memory when a twentieth was answered", answered / 1e6, "MB"),
    ]
    return [Figure(WORKLOAD, name, value, unit, sync=sync) for name, value, unit in found]
