"""Sequential no-op steps: how many a second, and whether a long run costs more per step."""

from __future__ import annotations

import asyncio
import statistics
import time

from . import desk
from .caller import Caller
from .measure import Cost, Figure
from .server import servers
from .sizes import Sizes
from .worker import workers

WORKLOAD = "steps"
_STEPS = 100
_SHORT = 10
_LONG = 1_000


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Steps a second at 1 and 16 workflows, and microseconds a step at 10 and 1,000 steps."""
    async with (
        servers(sync, desk.app.topology()) as nats,
        workers(nats.url, nats.data) as team,
        Caller.at(nats.url) as caller,
    ):
        runner = _Runner(caller)
        await runner.rate(16, _STEPS)
        one = await runner.best(sizes.repeats * 3, 1, _STEPS)
        cost = Cost({"worker": [team[0].pid], "server": nats.pids})
        many = await runner.best(sizes.repeats, 16, _STEPS)
        costs = cost.figures(WORKLOAD, sizes.repeats * 16 * _STEPS, sync=sync)
        short = await runner.best(sizes.repeats * 5, 1, _SHORT)
        long = await runner.best(sizes.repeats, 1, _LONG)
    return [
        Figure(WORKLOAD, "1 workflow", one, "steps/s", sync=sync),
        Figure(WORKLOAD, "16 workflows", many, "steps/s", sync=sync),
        *(figure._replace(unit="ms/step") for figure in costs),
        Figure(WORKLOAD, "a step of a run of 10", 1e3 / short, "ms", sync=sync),
        Figure(WORKLOAD, "a step of a run of 1,000", 1e3 / long, "ms", sync=sync),
    ]


class _Runner:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._number = 0

    async def best(self, times: int, at_once: int, steps: int) -> float:
        """The median of several rates."""
        return statistics.median([await self.rate(at_once, steps) for _ in range(times)])

    async def rate(self, at_once: int, steps: int) -> float:
        """Steps a second of `at_once` workflows side by side."""
        began = time.perf_counter()
        await asyncio.gather(*(self._one(steps) for _ in range(at_once)))
        return at_once * steps / (time.perf_counter() - began)

    async def _one(self, steps: int) -> None:
        self._number += 1
        ticket = f"S{self._number}"
        await self._caller.send(desk.STEPS, ticket=ticket, steps=steps)
        await self._caller.ended(ticket)
