"""The ticket: event, step, routing step, question, answer, step, completed."""

from __future__ import annotations

import os

from .caller import Caller
from .drive import both_latencies, throughput
from .measure import Cost, Figure
from .server import server
from .sizes import Sizes
from .worker import workers

WORKLOAD = "ticket"


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Latency at concurrency 1, throughput at 64, and what a run costs."""
    figures: list[Figure] = []
    async with server(sync) as nats, workers(nats.url, nats.data) as team:
        pids = [worker.pid for worker in team]
        async with Caller.at(nats.url) as caller:
            await throughput(caller, sizes.warm_up, prefix="W")
            found = await both_latencies(caller, sizes.latency_runs)
            figures += [
                Figure(WORKLOAD, name, value, "ms", sync=sync) for name, value in found.items()
            ]
            await throughput(caller, sizes.awake_runs, prefix="V")
            cost = Cost({"worker": pids, "server": [nats.pid], "driver": [os.getpid()]})
            found = await throughput(caller, sizes.throughput_runs)
            figures += [
                Figure(WORKLOAD, name, value, "runs/s", sync=sync) for name, value in found.items()
            ]
            figures += cost.figures(WORKLOAD, sizes.throughput_runs, sync=sync)
    return figures
