"""What a flood of answers or events does to the runs that go on meanwhile.

A process of its own sends them as fast as the server takes them: answers that nobody asked for,
long or short, events that no workflow can read, or events that start runs. Tickets are opened and
answered one at a time until the flood is over and all of it was handled. Beside them runs the
floor: a message that is stored, delivered and acknowledged by nothing but the server and the
connection. It tells how much of a delay is the server's and the flooder's own.
`python -m benchmarks.flood URL answers 10000` is that process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NamedTuple

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import StoreFull
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.wire import Message, Wire

from . import desk
from .caller import Caller
from .drive import WITHIN, throughput
from .measure import Cost, Figure, percentile
from .server import server
from .sizes import Sizes
from .worker import ROOT, workers

WORKLOAD = "flood"
_AT_ONCE = 64
_SHARES = {"p50": 0.5, "p95": 0.95}
_PULL = b'{"batch":1000000,"expires":3600000000000}'


class _Kind(NamedTuple):
    """One flood."""

    subject: str
    body: bytes
    stream: str
    consumer: str


_ANSWER = ("developer.response.F{}.mallory", "ANSWERS", "answers-developer")
_KINDS = {
    "answers": _Kind(_ANSWER[0], b"x" * 60_000, *_ANSWER[1:]),
    "short answers": _Kind(_ANSWER[0], b"yes", *_ANSWER[1:]),
    "events": _Kind(desk.STEPS, b'{"nobody": "reads this"}', "EVENTS", "on-steps"),
    "events on its trigger": _Kind(desk.TICKET, b'{"nobody": "reads"}', "EVENTS", "on-ticket"),
    "starts": _Kind(desk.STEPS, b'{"ticket": "F", "steps": 0}', "EVENTS", "on-steps"),
}


class _Floor:
    """Stores a message and waits until it is delivered."""

    def __init__(self, wire: Wire, requests: Requests) -> None:
        self._wire = wire
        self._requests = requests
        self._come = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, url: str) -> AsyncGenerator[_Floor]:
        """With a stream, a consumer and a connection that nobody else uses."""
        async with opened(ConnectionSettings(servers=(url,))) as (connection, requests):
            floor = cls(connection.nc, requests)
            await requests.api("STREAM.CREATE.FLOOR", {"name": "FLOOR", "subjects": ["floor"]})
            config = {"durable_name": "floor", "ack_policy": "explicit"}
            body = {"stream_name": "FLOOR", "config": config}
            await requests.api("CONSUMER.DURABLE.CREATE.FLOOR.floor", body)
            inbox = await connection.nc.open_inbox(floor._take)
            connection.nc.send("$JS.API.CONSUMER.MSG.NEXT.FLOOR.floor", _PULL, inbox.subject)
            yield floor

    def _take(self, msg: Message) -> None:
        self._wire.send(msg.reply, b"+ACK")
        self._come.set()

    async def trip(self) -> None:
        """One message."""
        self._come.clear()
        await self._requests.store("floor", b"x", timeout=WITHIN)
        await self._come.wait()


class _Flood:
    """A flood that goes on, and how far it is."""

    def __init__(self, kind: _Kind, count: int, requests: Requests, process: Process) -> None:
        self._kind = kind
        self._count = count
        self._requests = requests
        self._process = process

    async def over(self) -> bool:
        """Whether all of it was sent and handled."""
        if self._process.returncode is None:
            return False
        name = f"{self._kind.stream}.{self._kind.consumer}"
        info = await self._requests.api(f"CONSUMER.INFO.{name}", timeout=WITHIN)
        return not info["num_pending"] and not info["num_ack_pending"]

    async def cpu(self) -> float:
        """Milliseconds of the process that sent it, for each message."""
        told = await self._process.stdout.read() if self._process.stdout else b""
        return float(told or "nan") / self._count * 1e3


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Latency of a ticket and of the floor in quiet, and under each flood; what the flood costs."""
    figures: list[Figure] = []
    async with (
        server(sync) as nats,
        workers(nats.url, nats.data) as team,
        Caller.at(nats.url) as caller,
        _Floor.at(nats.url) as floor,
        opened(ConnectionSettings(servers=(nats.url,))) as (_, requests),
    ):
        await throughput(caller, sizes.warm_up, prefix="W")
        spans = _Spans(caller, floor, "Q")
        for _ in range(sizes.flooded_runs):
            await spans.ticket()
        figures += spans.figures("in quiet", sync)
        for kind, flood in _KINDS.items():
            count = sizes.flood_answers if flood.stream == "ANSWERS" else sizes.flood_events
            cost = Cost({"worker": [team[0].pid], "server": [nats.pid]})
            spans = _Spans(caller, floor, kind[0] + str(len(kind)))
            async with _flooded(nats.url, kind, count, requests) as going:
                while not await going.over():
                    await spans.ticket()
                figures += spans.figures(f"under {kind}", sync)
                each = [("flooder", await going.cpu())]
            each += [(one.name, one.value) for one in cost.figures(WORKLOAD, count)]
            figures += [
                Figure(
                    WORKLOAD,
                    f"{name.removeprefix('CPU of the ')}, one of {kind}",
                    value,
                    "ms",
                    sync=sync,
                )
                for name, value in each
            ]
    return figures


class _Spans:
    """How long tickets and trips of the floor took, by what was done."""

    def __init__(self, caller: Caller, floor: _Floor, prefix: str) -> None:
        self._caller = caller
        self._floor = floor
        self._prefix = prefix
        self._found: dict[str, list[float]] = defaultdict(list)

    async def ticket(self) -> None:
        """One ticket, and the floor twice."""
        ticket = f"{self._prefix}x{len(self._found['start -> parked'])}"
        await self._timed("floor", self._floor.trip)
        await self._timed("start -> parked", lambda: self._open(ticket))
        await self._timed("floor", self._floor.trip)
        await self._timed("answer -> completed", lambda: self._finish(ticket))

    async def _open(self, ticket: str) -> None:
        await self._caller.open(ticket)
        await self._caller.parked(ticket)

    async def _finish(self, ticket: str) -> None:
        answered = asyncio.ensure_future(self._caller.answer(ticket))
        await self._caller.ended(ticket)
        await answered

    async def _timed(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        began = time.perf_counter()
        await work()
        self._found[what].append((time.perf_counter() - began) * 1e3)

    def figures(self, when: str, sync: str) -> list[Figure]:
        """The middle and the tail of each."""
        subjects = {"floor": "floor"}
        return [
            Figure(
                WORKLOAD,
                f"{'store -> delivered' if what == 'floor' else what} {name}, {when}",
                percentile(values, share),
                "ms",
                subjects.get(what, "layby"),
                sync,
            )
            for what, values in self._found.items()
            for name, share in _SHARES.items()
        ] + [Figure(WORKLOAD, f"tickets, {when}", len(self._found["floor"]) / 2, "", sync=sync)]


@contextlib.asynccontextmanager
async def _flooded(url: str, kind: str, count: int, requests: Requests) -> AsyncGenerator[_Flood]:
    """Send a flood for as long as the block is open."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.flood", url, kind, str(count)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
    )
    try:
        if process.stdout is not None:
            await process.stdout.readline()
        yield _Flood(_KINDS[kind], count, requests, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _send(url: str, kind: _Kind, count: int) -> None:
    numbers = iter(range(count))
    async with opened(ConnectionSettings(servers=(url,))) as (_, requests):

        async def some() -> None:
            for number in numbers:
                with contextlib.suppress(StoreFull):
                    subject = kind.subject.format(number)
                    await requests.store(subject, kind.body, timeout=WITHIN)

        sys.stdout.write("begun\n")
        sys.stdout.flush()
        began = time.process_time()
        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
        sys.stdout.write(str(time.process_time() - began))


if __name__ == "__main__":
    asyncio.run(_send(sys.argv[1], _KINDS[sys.argv[2]], int(sys.argv[3])))
