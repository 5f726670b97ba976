"""The console's catalogue, in a process of its own: how long it takes to fill, and to answer."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec

from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.console.catalogue.catalogue import Catalogue
from layby.console.catalogue.query import RunQuery

from .lists import Rows
from .measure import Figure, resident_bytes
from .server import server
from .sizes import Sizes
from .worker import ROOT

WORKLOAD = "catalogue"
_TURNS = 9
_LOOK = 0.02


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Seconds to fill, memory, and milliseconds of each look, at 100,000 runs and at all."""
    figures: list[Figure] = []
    async with (
        server(sync) as nats,
        opened(ConnectionSettings(servers=(nats.url,)), patient=True) as (_, requests),
    ):
        rows = Rows(requests)
        await rows.begin()
        for count in sorted({min(100_000, sizes.listed_runs), sizes.listed_runs}):
            await rows.fill(count)
            for name, value, unit in await _apart(nats.url, count):
                what = f"{name}, {count:,} runs"
                figures.append(Figure(WORKLOAD, what, value, unit, sync=sync))
    return figures


async def _apart(url: str, count: int) -> list[tuple[str, float, str]]:
    """The figures of a process that has nothing but the catalogue."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.catalogue", url, str(count)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return msgspec.json.decode(out, type=list[tuple[str, float, str]])


async def _figures(url: str, count: int) -> list[tuple[str, float, str]]:
    async with opened(ConnectionSettings(servers=(url,)), patient=True) as (connection, requests):
        began = time.perf_counter()
        async with Catalogue.opened(connection, requests) as catalogue:
            while not catalogue.progress.live:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)
            filled = time.perf_counter() - began
            found = [("filled", filled, "s")]
            page = await catalogue.runs(RunQuery())
            rare, none = Rows.ticket(count - 1), "not there"
            looks: dict[str, Callable[[], Awaitable[object]]] = {
                "first page": lambda: catalogue.runs(RunQuery()),
                "next page": lambda: catalogue.runs(RunQuery(cursor=page.next)),
                "text search that finds few": lambda: catalogue.runs(RunQuery(text=rare)),
                "text search that finds none": lambda: catalogue.runs(RunQuery(text=none)),
                "counts": catalogue.counts,
                "counts of a workflow": lambda: catalogue.counts(RunQuery(workflow="solve")),
                "counts and chart": lambda: catalogue.overview(RunQuery()),
                "counts and chart of a text search": lambda: catalogue.overview(
                    RunQuery(text=rare)
                ),
            }
            for name, look in looks.items():
                found.append((name, await _median(look), "ms"))
            found.append(("memory", resident_bytes([os.getpid()]) / 1e6, "MB"))
    return found


async def _median(look: Callable[[], Awaitable[object]]) -> float:
    taken: list[float] = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        await look()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


if __name__ == "__main__":
    document = msgspec.json.encode(asyncio.run(_figures(sys.argv[1], int(sys.argv[2]))))
    sys.stdout.write(document.decode())
