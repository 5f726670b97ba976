"""What every peer's bench does with its desk. Standard library only: it runs in their venvs."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

from ..drive import Desk, both_latencies, each, throughput
from ..measure import cpu_seconds, family
from ..sizes import Sizes

Steps = Callable[[str, int], Awaitable[None]]
"""Runs a workflow of so many steps under that name."""
_STEPS = 100


async def ticket(desk: Desk, sizes: Sizes, pids: dict[str, int]) -> dict[str, float]:
    """The workload `ticket`; `pids` names the roots of process trees whose CPU time is taken."""
    await throughput(desk, sizes.warm_up // 2, at_once=16, prefix="W")
    found = await both_latencies(desk, sizes.peer_latency_runs)
    await throughput(desk, sizes.warm_up, prefix="V")  # the pauses have put cores to sleep
    began = {name: cpu_seconds(family(pid)) for name, pid in pids.items()}
    runs = sizes.peer_runs
    found |= await throughput(desk, runs)
    for name, pid in pids.items():
        found[f"CPU of the {name}"] = (cpu_seconds(family(pid)) - began[name]) / runs * 1e3
    return found


async def steps(run: Steps, sizes: Sizes) -> dict[str, float]:
    """The workload `steps`."""
    await _rate(run, 1, "w")
    one = [await _rate(run, 1, f"a{number}") for number in range(sizes.repeats)]
    many = [await _rate(run, 16, f"b{number}") for number in range(sizes.repeats)]
    return {"1 workflow": statistics.median(one), "16 workflows": statistics.median(many)}


async def _rate(run: Steps, at_once: int, prefix: str) -> float:
    names: Sequence[str] = [f"{prefix}-{number}" for number in range(at_once)]
    began = time.perf_counter()
    await each(names, lambda name: run(name, _STEPS), at_once)
    return at_once * _STEPS / (time.perf_counter() - began)


def tell(found: dict[str, dict[str, float]]) -> None:
    """Print the figures, for the command that started this process."""
    print(json.dumps(found), flush=True)  # noqa: T201
