"""What lists of runs cost with a hundred runs in the index, and with a million."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable

import msgspec

from layby.actors.people.migration import Migration
from layby.bus.bucket import Bucket
from layby.bus.connection import ConnectionSettings
from layby.bus.layout import streams
from layby.bus.log import Log
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from layby.client import Client
from layby.operations.purging import Purge
from layby.runtime.entry import Raw, Started
from layby.runtime.envelope import Envelope, encode
from layby.runtime.ids import run_id
from layby.runtime.index import IndexRow, key_of
from layby.runtime.times import iso

from .drive import each
from .measure import Figure
from .server import server
from .sizes import Sizes

WORKLOAD = "lists"
_FEW = 100
_AT_ONCE = 512
_TURNS = 15
_PURGED = 20_000
_NEWEST = 50


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Milliseconds of each look-up, with few runs and with many; runs purged in a second."""
    figures: list[Figure] = []
    async with server(sync) as nats:
        settings = ConnectionSettings(servers=(nats.url,))
        async with (
            opened(settings, patient=True) as (_, requests),
            Client.connect(settings) as client,
        ):
            rows = Rows(requests)
            await rows.begin()
            for count in (_FEW, sizes.listed_runs):
                await rows.fill(count)
                for name, ms in (await _looks(client, rows, count)).items():
                    figures.append(Figure(WORKLOAD, f"{name}, {count:,} runs", ms, "ms", sync=sync))
            rate = await rows.purge()
            figures.append(Figure(WORKLOAD, "purge", rate, "runs/s", sync=sync))
    return figures


class Rows:
    """An index filled by hand, with a log for the runs that are looked at."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._index = Bucket(requests, "runs")
        self._log = Log(requests)
        self._filled = 0
        self._purged = 0.0
        """When the last row was written that is to be purged."""

    async def begin(self) -> None:
        """Create the streams."""
        topology = Topology(streams=streams(["bench.lists"], ["developer"]), consumers=())
        await Provisioner(self._requests).ensure(topology)
        await Migration(self._requests).run()

    async def fill(self, count: int) -> None:
        """Make it `count` rows of runs that ended."""

        async def put(number: str) -> None:
            n = int(number)
            at = iso(time.time())
            if n == _PURGED:
                self._purged = time.time()
            row = IndexRow(
                id=self.run(n),
                workflow="solve",
                ticket=self.ticket(n),
                status="completed",
                started_at=at,
                updated_at=at,
                pos=9,
            )
            await self._index.put(key_of(row.ticket, row.id), msgspec.json.encode(row))

        await each([str(n) for n in range(self._filled, count)], put, _AT_ONCE)
        for n in (count - 2, count - 1):  # the two of the last ticket
            await self._begin(n)
        self._filled = count

    async def _begin(self, n: int) -> None:
        started = Started(
            workflow="solve",
            actor="workflow-solve",
            version="1",
            ticket=self.ticket(n),
            event=Raw(b"{}"),
        )
        envelope = Envelope(op=f"bench-{n}", at=time.time(), records=[started])
        await self._log.append(self.run(n), 1, "_", encode(envelope))

    async def purge(self) -> float:
        """Purge the oldest runs; how many in a second."""
        age = time.time() - self._purged
        began = time.perf_counter()
        purged = await Purge(self._requests).expired({"solve": age})
        return purged.runs / (time.perf_counter() - began)

    @staticmethod
    def run(n: int) -> str:
        """The id of row `n`."""
        return run_id("solve", str(n))

    @staticmethod
    def ticket(n: int) -> str:
        """The ticket of row `n`: each has two runs."""
        return f"T{n // 2}"


async def _looks(client: Client, rows: Rows, count: int) -> dict[str, float]:
    last = count - 1
    return {
        "newest first": await _median(lambda: client.runs(limit=_NEWEST)),
        "by ticket": await _median(lambda: client.runs(ticket=rows.ticket(last))),
        "show, by id": await _median(lambda: client.show(rows.run(last))),
        "show, by ticket": await _median(lambda: client.show(rows.ticket(last))),
        "questions": await _median(client.questions),
    }


async def _median(look: Callable[[], Awaitable[object]]) -> float:
    taken: list[float] = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        await look()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)
