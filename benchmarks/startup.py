"""How long a person waits: the import, the help, the server, a worker."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from .measure import Figure
from .server import server
from .sizes import Sizes
from .worker import ROOT, workers

WORKLOAD = "startup"
_FACE = "from layby import Agent, App, Network, RoutingAgent, Step, tool"


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Milliseconds, the median of several tries."""
    times = sizes.repeats * 3
    bare = await _median(times, lambda: _python("-c", "pass"))
    face = await _median(times, lambda: _python("-c", "import layby"))
    names = await _median(times, lambda: _python("-c", _FACE))
    told = await _median(times, lambda: _python("-m", "layby", "--help"))
    embedded = await _median(times, lambda: _server(sync))
    async with server(sync) as nats:
        worker = await _median(times, lambda: _worker(nats.url, nats))
    found = {
        "import layby": face - bare,
        "import of the names of the face": names - bare,
        "layby --help": told,
        "embedded server ready": embedded,
        "worker ready": worker,
    }
    return [Figure(WORKLOAD, name, value, "ms", sync=sync) for name, value in found.items()]


async def _median(times: int, work: Callable[[], Coroutine[Any, Any, float]]) -> float:
    return statistics.median([await work() for _ in range(times)])


async def _python(*arguments: str) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    if await process.wait() != 0:
        raise RuntimeError(f"{arguments} failed")
    return (time.perf_counter() - began) * 1e3


async def _server(sync: str) -> float:
    began = time.perf_counter()
    async with server(sync):
        return (time.perf_counter() - began) * 1e3


async def _worker(url: str, nats: Any) -> float:
    began = time.perf_counter()
    async with workers(url, nats.data):
        return (time.perf_counter() - began) * 1e3
