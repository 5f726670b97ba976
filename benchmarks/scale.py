"""One, two and four worker processes on the workload `ticket`."""

from __future__ import annotations

from .caller import Caller
from .drive import throughput
from .measure import Cost, Figure
from .server import server
from .sizes import Sizes
from .worker import workers

WORKLOAD = "scale"
_TEAMS = (1, 2, 4)


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Runs a second, and what the server spends on each."""
    figures: list[Figure] = []
    for count in _TEAMS:
        async with (
            server(sync) as nats,
            workers(nats.url, nats.data, count) as team,
            Caller.at(nats.url) as caller,
        ):
            await throughput(caller, sizes.warm_up * count, prefix="W")
            cost = Cost({"workers": [worker.pid for worker in team], "server": [nats.pid]})
            found = await throughput(caller, sizes.throughput_runs, at_once=64 * count)
            name = f"{count} worker{'s' if count > 1 else ''}"
            figures.append(Figure(WORKLOAD, name, found["overall"], "runs/s", sync=sync))
            figures += [
                figure._replace(name=f"{name}: {figure.name}")
                for figure in cost.figures(WORKLOAD, sizes.throughput_runs, sync=sync)
            ]
    return figures
