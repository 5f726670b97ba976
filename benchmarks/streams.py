"""Where one stream's leader is the limit: logs of runs over one, two and four streams.

With `sync_interval always` a stream waits for the disk at each message, and several streams wait
at the same time. Appends alone show what the logs gain; tickets show what is left of it when each
run also writes its event, question, answer, record, deadline and index, each into one stream.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from layby.bus import log, log_subject
from layby.bus.connection import ConnectionSettings
from layby.bus.layout import streams
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from layby.runtime.ids import run_id

from .caller import Caller
from .desk import LOG_STREAMS
from .drive import each, throughput
from .measure import Cost, Figure
from .server import server
from .sizes import Sizes
from .worker import workers

WORKLOAD = "streams"
_COUNTS = (1, 2, 4)
_ENTRIES = 20
_BODY = b"x" * 300


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Appends and tickets over so many streams, and what one ticket stores in each."""
    figures: list[Figure] = []
    for count in _COUNTS:
        rate = await _appends(sync, count, sizes.throughput_runs)
        name = f"appends, {_streams(count)}"
        figures.append(Figure(WORKLOAD, name, rate, "entries/s", "floor", sync))
    for count in _COUNTS:
        figures += await _tickets(sync, count, sizes)
    return figures


async def _appends(sync: str, count: int, appends: int) -> float:
    async with (
        server(sync) as nats,
        opened(ConnectionSettings(servers=(nats.url,))) as (_, requests),
    ):
        logs = [spec for spec in streams([], [], count) if spec.name in log_subject.shares(count)]
        await Provisioner(requests).ensure(Topology(streams=tuple(logs), consumers=()))
        entries = log.Log(requests, count)

        async def append(run: str) -> None:
            for n in range(1, _ENTRIES + 1):
                await entries.append(run, n, log_subject.NOBODY, _BODY)

        runs = [run_id("bench", str(number)) for number in range(appends * 2 // _ENTRIES)]
        began = time.perf_counter()
        await each(runs, append, 64)
        return len(runs) * _ENTRIES / (time.perf_counter() - began)


async def _tickets(sync: str, count: int, sizes: Sizes) -> list[Figure]:
    figures: list[Figure] = []
    name = f"ticket, {_streams(count)}"
    runs = sizes.throughput_runs
    environ = {LOG_STREAMS: str(count)}
    async with (
        server(sync) as nats,
        workers(nats.url, nats.data, environ=environ) as team,
        Caller.at(nats.url) as caller,
        opened(ConnectionSettings(servers=(nats.url,))) as (_, requests),
    ):
        await throughput(caller, sizes.warm_up, prefix="W")
        before = await _stored(requests, count)
        cost = Cost({"worker": [worker.pid for worker in team], "server": [nats.pid]})
        found = await throughput(caller, runs)
        rates = [Figure(WORKLOAD, what, rate, "runs/s", sync=sync) for what, rate in found.items()]
        figures += [
            figure._replace(name=f"{name}: {figure.name}")
            for figure in (*rates, *cost.figures(WORKLOAD, runs, sync=sync))
        ]
        if count == 1:
            after = await _stored(requests, count)
            for stream, stored in after.items():
                what, each_run = f"stored in {stream}", (stored - before[stream]) / runs
                figures.append(Figure(WORKLOAD, what, each_run, "messages/run", sync=sync))
    return figures


async def _stored(requests: Requests, count: int) -> dict[str, int]:
    """How many messages each stream has ever stored."""
    names: Iterable[str] = (spec.name for spec in streams(["x"], ["x"], count))
    found = [(name, await requests.api(f"STREAM.INFO.{name}")) for name in names]
    return {name: int(info["state"]["last_seq"]) for name, info in found}


def _streams(count: int) -> str:
    return f"{count} log stream{'s' if count > 1 else ''}"
