"""What a flood of answers or events does to the runs that go on meanwhile.

Somebody sends answers of 60 KB that nobody asked for, or events that no workflow can read, as fast
as the server takes them, from a process of its own. Tickets are opened and answered all the while.
`python -m benchmarks.flood URL answers 10000` is that process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import StoreFull
from layby.bus.opened import opened

from .caller import Caller
from .desk import TICKET
from .drive import both_latencies, throughput
from .measure import Figure
from .server import server
from .sizes import Sizes
from .worker import ROOT, workers

WORKLOAD = "flood"
_AT_ONCE = 64
_ANSWER = b"x" * 60_000
_EVENT = b'{"nobody": "reads this"}'
_KINDS = ("answers", "events")


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Latency of a ticket in quiet, and under each flood."""
    figures: list[Figure] = []
    async with (
        server(sync) as nats,
        workers(nats.url, nats.data),
        Caller.at(nats.url) as caller,
    ):
        await throughput(caller, sizes.warm_up, prefix="W")
        for kind in ("", *_KINDS):
            async with _flooded(nats.url, kind, sizes):
                found = await both_latencies(caller, sizes.flooded_runs)
            what = f"under {kind}" if kind else "in quiet"
            figures += [
                Figure(WORKLOAD, f"{name}, {what}", value, "ms", sync=sync)
                for name, value in found.items()
            ]
    return figures


@contextlib.asynccontextmanager
async def _flooded(url: str, kind: str, sizes: Sizes) -> AsyncGenerator[None]:
    """Send a flood for as long as the block is open."""
    if not kind:
        yield
        return
    count = sizes.flood_answers if kind == "answers" else sizes.flood_events
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.flood", url, kind, str(count)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if process.stdout is not None:
            await process.stdout.readline()
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _send(url: str, kind: str, count: int) -> None:
    numbers = iter(range(count))
    async with opened(ConnectionSettings(servers=(url,))) as (_, requests):

        async def some() -> None:
            for number in numbers:
                subject = f"developer.response.F{number}.mallory" if kind == "answers" else TICKET
                with contextlib.suppress(StoreFull):
                    await requests.store(subject, _ANSWER if kind == "answers" else _EVENT)

        sys.stdout.write("begun\n")
        sys.stdout.flush()
        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(_send(sys.argv[1], sys.argv[2], int(sys.argv[3])))
