"""Where one stream's leader is the limit: the same appends over one, two and four streams.

Logs go to streams by their run, so that each log stays whole. With `sync_interval always` a
stream waits for the disk at each message, and several streams wait at the same time.
"""

from __future__ import annotations

import time
import zlib

from layby.bus.connection import ConnectionSettings, connect
from layby.bus.requests import Requests
from layby.bus.topology import Provisioner, StreamSpec, Topology

from .drive import each
from .measure import Figure
from .server import server
from .sizes import Sizes

WORKLOAD = "scale"
_COUNTS = (1, 2, 4)
_ENTRIES = 20
_BODY = b"x" * 300


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Appends a second over so many streams."""
    figures: list[Figure] = []
    for count in _COUNTS:
        name = f"appends over {count} stream{'s' if count > 1 else ''}"
        rate = await _rate(sync, count, sizes.throughput_runs)
        figures.append(Figure(WORKLOAD, name, rate, "entries/s", "floor", sync))
    return figures


async def _rate(sync: str, count: int, appends: int) -> float:
    settings = [StreamSpec(name=f"RUNS_{n}", subjects=(f"to{n}.>",)) for n in range(count)]
    async with (
        server(sync) as nats,
        await connect(ConnectionSettings(servers=(nats.url,))) as connection,
    ):
        requests = Requests(connection.nc)
        await requests.start()
        await Provisioner(requests).ensure(Topology(streams=tuple(settings), consumers=()))

        async def append(run: str) -> None:
            stream = zlib.crc32(run.encode()) % count
            for n in range(_ENTRIES):
                subject = f"to{stream}.log.{run}.{n}"
                await requests.store(subject, _BODY, {"Nats-Expected-Last-Subject-Sequence": "0"})

        runs = [f"r{number}" for number in range(appends * 2 // _ENTRIES)]
        began = time.perf_counter()
        await each(runs, append, 64)
        rate = len(runs) * _ENTRIES / (time.perf_counter() - began)
        await requests.stop()
    return rate
