"""Many runs that wait for people: what they cost, and how soon work goes on after a crash."""

from __future__ import annotations

import asyncio
import statistics
import time

from layby.bus.errors import BusError
from layby.bus.server import EmbeddedServer

from .caller import Caller
from .drive import each, latency
from .measure import Figure, cpu_seconds, disk_bytes, resident_bytes
from .server import server
from .sizes import Sizes
from .worker import WorkerProcess, workers

WORKLOAD = "parked"
_IDLE = 5.0
"""Seconds over which idleness is measured."""
_SETTLE = 3.0
"""Seconds for work that trails behind."""
_AT_ONCE = 256
_FILL = 5_000
"""Runs parked before anything is measured: by then the worker's cache of runs is full."""
_AGAIN = 0.01
_TURNS = 5
_MEDIAN = "answer -> completed p50"


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Cost per parked run, latency beside them, recovery from `kill -9`."""
    async with (
        server(sync) as nats,
        workers(nats.url, nats.data) as team,
        Caller.at(nats.url) as caller,
    ):
        return await _Lot(nats, team[0], caller, sync, sizes).measure()


class _Lot:
    """A server full of parked runs."""

    def __init__(
        self, nats: EmbeddedServer, worker: WorkerProcess, caller: Caller, sync: str, sizes: Sizes
    ) -> None:
        self._nats = nats
        self._worker = worker
        self._caller = caller
        self._sync = sync
        self._sizes = sizes
        self._figures: list[Figure] = []

    async def measure(self) -> list[Figure]:
        count = self._sizes.parked_runs
        empty = self._held()
        await latency(self._caller, self._sizes.warm_up, prefix="W")
        await asyncio.sleep(_SETTLE)
        await self._park(0, _FILL)
        await asyncio.sleep(_SETTLE)
        before = self._held()
        seconds = await self._park(_FILL, _FILL + count)
        busy = resident_bytes([self._nats.pid])
        await asyncio.sleep(self._sizes.rest)
        after = self._held()
        self._note("runs parked", count, "runs")
        self._note("parking", count / seconds, "runs/s")
        # Among the first runs a server makes its buffers and leaves garbage: counting from there
        # would hide them in what comes before.
        server = (after["server"] - empty["server"]) / (_FILL + count)
        self._note("server per parked run", server, "bytes/run")
        for name in ("worker", "disk"):
            self._note(f"{name} per parked run", (after[name] - before[name]) / count, "bytes/run")
        self._note("server memory, right after parking", busy / 1e6, "MB")
        self._note("server memory", after["server"] / 1e6, "MB")
        self._note("worker memory", after["worker"] / 1e6, "MB")
        await self._idle()
        await self._spawn()
        await self._kill_worker()
        await self._kill_server()
        return self._figures

    def _note(self, name: str, value: float, unit: str) -> None:
        self._figures.append(Figure(WORKLOAD, name, value, unit, sync=self._sync))

    def _held(self) -> dict[str, int]:
        return {
            "server": resident_bytes([self._nats.pid]),
            "worker": resident_bytes([self._worker.pid]),
            "disk": disk_bytes(self._nats.data),
        }

    async def _park(self, first: int, end: int) -> float:
        async def park(ticket: str) -> None:
            await self._caller.open(ticket)
            await self._caller.parked(ticket)

        return await each([f"P{number}" for number in range(first, end)], park, _AT_ONCE)

    async def _idle(self) -> None:
        pids = {"server": self._nats.pid, "worker": self._worker.pid}
        began = {name: cpu_seconds([pid]) for name, pid in pids.items()}
        await asyncio.sleep(_IDLE)
        for name, pid in pids.items():
            share = (cpu_seconds([pid]) - began[name]) / _IDLE * 100
            self._note(f"idle CPU of the {name}", share, "% of a core")

    async def _spawn(self) -> None:
        """Latency with all parked here and none at another server, turn by turn."""
        medians: dict[str, list[float]] = {"nothing parked": [], "all parked": []}
        async with (
            server(self._sync) as empty,
            workers(empty.url, empty.data),
            Caller.at(empty.url) as caller,
        ):
            await latency(caller, self._sizes.warm_up, prefix="W")
            for turn in range(_TURNS):
                for who, desk in (("nothing parked", caller), ("all parked", self._caller)):
                    found = await latency(desk, self._sizes.parked_latency_runs, f"T{turn}-")
                    medians[who].append(found[_MEDIAN])
        for who, values in medians.items():
            self._note(f"{_MEDIAN}, {who}", statistics.median(values), "ms")

    async def _kill_worker(self) -> None:
        """Kill every worker, answer a parked ticket, start one: seconds until it is completed."""
        self._worker.kill()
        began = time.perf_counter()
        await self._caller.answer("P0")
        async with workers(self._nats.url, self._nats.data) as team:
            self._worker = team[0]
            ready = time.perf_counter()
            await self._caller.ended("P0")
            self._note("worker killed -> fresh answer completed", time.perf_counter() - began, "s")
            self._note("worker back -> fresh answer completed", time.perf_counter() - ready, "s")

    async def _kill_server(self) -> None:
        """Kill the server and start it: seconds until a fresh answer is completed."""
        async with workers(self._nats.url, self._nats.data):
            await asyncio.sleep(_SETTLE)
            self._nats.kill()
            began = time.perf_counter()
            await self._nats.start()
            ready = time.perf_counter()
            await self._answer_patiently("P1")
            await self._caller.ended("P1")
            self._note("server killed -> fresh answer completed", time.perf_counter() - began, "s")
            self._note("server back -> fresh answer completed", time.perf_counter() - ready, "s")

    async def _answer_patiently(self, ticket: str) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    await self._caller.answer(ticket)
                except BusError:
                    await asyncio.sleep(_AGAIN)
                else:
                    return
