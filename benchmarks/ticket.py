"""The ticket: event, step, routing step, question, answer, step, completed."""

from __future__ import annotations

import os

from layby.bus.keyring import Keyring, new_key

from .caller import Caller
from .desk import KEYS, app
from .drive import both_latencies, throughput
from .measure import Cost, Figure
from .server import servers
from .sizes import Sizes
from .worker import workers

WORKLOAD = "ticket"


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Latency at concurrency 1, throughput at 64, and what a run costs."""
    return await _measure(WORKLOAD, sync, sizes)


async def measure_encrypted(sync: str, sizes: Sizes) -> list[Figure]:
    """The same, encrypted; the driver decrypts the ends of runs, too."""
    return await _measure("encrypted", sync, sizes, new_key("bench"))


async def _measure(workload: str, sync: str, sizes: Sizes, key: str = "") -> list[Figure]:
    figures: list[Figure] = []
    environ = {KEYS: key} if key else {}
    keyring = Keyring(dict([key.split(":")])) if key else None
    async with (
        servers(sync, app.topology()) as nats,
        workers(nats.url, nats.data, environ=environ) as team,
        Caller.at(nats.url, keyring=keyring) as caller,
    ):
        pids = [worker.pid for worker in team]
        await throughput(caller, sizes.warm_up, prefix="W")
        found = await both_latencies(caller, sizes.latency_runs)
        figures += [Figure(workload, name, value, "ms", sync=sync) for name, value in found.items()]
        await throughput(caller, sizes.awake_runs, prefix="V")
        cost = Cost({"worker": pids, "server": nats.pids, "driver": [os.getpid()]})
        found = await throughput(caller, sizes.throughput_runs)
        figures += [
            Figure(workload, name, value, "runs/s", sync=sync) for name, value in found.items()
        ]
        figures += cost.figures(workload, sizes.throughput_runs, sync=sync)
    return figures
