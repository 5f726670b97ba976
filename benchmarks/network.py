"""The ticket through supervisor and agent: route, tool, ask, answer, reply, completed."""

from __future__ import annotations

from . import desk
from .caller import Caller
from .drive import both_latencies, throughput
from .measure import Cost, Figure
from .server import servers
from .sizes import Sizes
from .worker import workers

WORKLOAD = "network"


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """As `ticket`, but agents do the work and a scripted model decides."""
    async with (
        servers(sync, desk.app.topology()) as nats,
        workers(nats.url, nats.data) as team,
        Caller.at(nats.url, desk.NETWORK) as caller,
    ):
        await throughput(caller, sizes.warm_up, prefix="W")
        found = await both_latencies(caller, sizes.latency_runs)
        figures = [Figure(WORKLOAD, name, value, "ms", sync=sync) for name, value in found.items()]
        cost = Cost({"worker": [team[0].pid], "server": nats.pids})
        found = await throughput(caller, sizes.network_runs)
        rates = [
            Figure(WORKLOAD, name, value, "runs/s", sync=sync) for name, value in found.items()
        ]
        return [*figures, *rates, *cost.figures(WORKLOAD, sizes.network_runs, sync=sync)]
