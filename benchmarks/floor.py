"""The floor: the NATS operations that the workloads cannot avoid, and nothing else.

No engine, no validation, no recovery beyond the log's fence, no index, no receipts: what is stored
and delivered for a ticket, by code as lean as it gets, in one process with its driver. It shows
what the server and the connection cost; the rest of Layby's figures is Layby.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from layby.bus.layout import bucket
from layby.bus.log_subject import STREAM, mail, parse, position, shares, subject
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.specs import StreamSpec, Topology
from layby.bus.topology import Provisioner
from layby.bus.wire import Message, Wire

from .drive import Board, both_latencies, each, throughput
from .measure import Cost, Figure
from .server import Servers, servers
from .sizes import Sizes

SUBJECT = "floor"
_PULL = 64
_BLOB = "x" * 1_000
_encode = msgspec.json.encode
_decode = msgspec.json.decode

Handler = Callable[[Message], Awaitable[None]]


class Floor:
    """Driver and worker of tickets."""

    def __init__(self, wire: Wire, requests: Requests) -> None:
        self._wire = wire
        self._requests = requests
        self._states: dict[str, dict[str, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._parked = Board()
        self._ended = Board()

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, nats: Servers) -> AsyncGenerator[Floor]:
        """A floor on servers that have nothing yet."""
        async with opened(nats.settings) as (connection, requests):
            provisioner = Provisioner(requests, replicas=nats.copies)
            await provisioner.ensure(Topology(streams=_streams(), consumers=()))
            floor = cls(connection.nc, requests)
            await floor._consume("EVENTS", "floor.opened", floor._on_event)
            await floor._consume(STREAM, mail("human"), floor._on_asked)
            await floor._consume("ANSWERS", "developer.response.>", floor._on_answer)
            await floor._consume(STREAM, mail("workflow"), floor._on_answered)
            try:
                yield floor
            finally:
                await asyncio.sleep(0.2)  # the last acks

    async def open(self, ticket: str) -> None:
        """Store the event."""
        await self._requests.store("floor.opened", _encode({"ticket": ticket}))

    async def parked(self, ticket: str) -> None:
        """Wait until the question is stored."""
        await self._parked.come(ticket)

    async def answer(self, ticket: str) -> None:
        """Store the answer."""
        await self._requests.store(f"developer.response.{ticket}", b"do it")

    async def ended(self, ticket: str) -> None:
        """Wait until the end is stored."""
        await self._ended.come(ticket)

    async def steps(self, run: str, count: int) -> None:
        """Append so many entries, one after another."""
        for n in range(1, count + 1):
            await self._append(run, n, "log", {"k": "step", "n": n})

    async def _on_event(self, msg: Message) -> None:
        ticket = _decode(msg.data)["ticket"]
        await self._append(ticket, 1, "log", {"k": "started", "details": _BLOB})
        state = {"ticket": ticket, "details": _BLOB, "team": "technical"}
        self._states[ticket] = state
        await self._append(ticket, 2, "human", {"k": "asked", "state": state})

    async def _on_asked(self, msg: Message) -> None:
        state = _decode(msg.data)["state"]
        ticket = state["ticket"]
        await self._put(ticket, {"state": state})
        due = (datetime.now(UTC) + timedelta(hours=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = {"Nats-Schedule": f"@at {due}", "Nats-Schedule-Target": f"due.{ticket}"}
        question = _encode({"ticket": ticket, "question": "what?"})
        await self._requests.store(f"developer.question.{ticket}", question, headers)
        self._parked.note(ticket)

    async def _on_answer(self, msg: Message) -> None:
        ticket = msg.subject.rpartition(".")[2]
        self._states.pop(ticket, None)
        await self._append(ticket, 3, "workflow", {"k": "answered", "text": msg.data.decode()})
        await self._put(ticket, {"status": "answered"})

    async def _on_answered(self, msg: Message) -> None:
        _, run, _ = parse(msg.subject)
        await self._append(run, 4, "log", {"k": "ended", "said": _decode(msg.data)["text"]})
        self._ended.note(run)

    async def _append(self, run: str, n: int, to: str, body: dict[str, Any]) -> None:
        headers = {
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Nats-Expected-Last-Subject-Sequence-Subject": position(run, n),
        }
        await self._requests.store(subject(to, run, n), _encode(body), headers)

    async def _put(self, ticket: str, body: dict[str, Any]) -> None:
        await self._requests.store(f"$KV.parked.{ticket}", _encode(body), {"Nats-Rollup": "sub"})

    async def _consume(self, stream: str, wanted: str, handler: Handler) -> None:
        name = f"floor-{handler.__name__}"
        config = {
            "durable_name": name,
            "filter_subject": wanted,
            "ack_policy": "explicit",
            "max_ack_pending": 5_000,
        }
        body = {"stream_name": stream, "config": config}
        await self._requests.api(f"CONSUMER.CREATE.{stream}.{name}.{wanted}", body)
        pull = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
        more = b'{"batch":%d,"expires":600000000000}' % (_PULL // 2)
        got = 0

        def take(msg: Message) -> None:
            nonlocal got
            got += 1
            if got % (_PULL // 2) == 0:
                self._wire.send(pull, more, inbox.subject)
            task = asyncio.get_running_loop().create_task(self._handle(handler, msg))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        inbox = await self._wire.open_inbox(take)
        self._wire.send(pull, more, inbox.subject)
        self._wire.send(pull, more, inbox.subject)

    async def _handle(self, handler: Handler, msg: Message) -> None:
        await handler(msg)
        self._wire.send(msg.reply, b"+ACK")


def _streams() -> tuple[StreamSpec, ...]:
    schedules = {"allow_msg_schedules": True}
    return (
        StreamSpec(name="EVENTS", subjects=("floor.opened",)),
        StreamSpec(name=STREAM, subjects=shares(1)[STREAM], config={"allow_direct": True}),
        StreamSpec(name="ANSWERS", subjects=("developer.response.>",)),
        StreamSpec(name="QUESTIONS", subjects=("developer.question.>", "due.>"), config=schedules),
        bucket("parked"),
    )


async def measure_ticket(sync: str, sizes: Sizes) -> list[Figure]:
    """The workload `ticket`."""
    async with servers(sync) as nats, Floor.at(nats) as floor:
        await throughput(floor, sizes.warm_up, prefix="W")
        found = await both_latencies(floor, sizes.latency_runs)
        figures = [
            Figure("ticket", name, value, "ms", SUBJECT, sync) for name, value in found.items()
        ]
        await throughput(floor, sizes.awake_runs, prefix="V")
        cost = Cost({"worker and driver": [os.getpid()], "server": nats.pids})
        found = await throughput(floor, sizes.throughput_runs)
        rates = [
            Figure("ticket", name, value, "runs/s", SUBJECT, sync) for name, value in found.items()
        ]
        return [*figures, *rates, *cost.figures("ticket", sizes.throughput_runs, SUBJECT, sync)]


async def measure_steps(sync: str, sizes: Sizes) -> list[Figure]:
    """The workload `steps`: appends to logs, the driver in the same process."""
    async with servers(sync) as nats, Floor.at(nats) as floor:
        await floor.steps("warm", 500)
        one = [await _rate(floor, 1, f"a{number}") for number in range(3 * sizes.repeats)]
        many = [await _rate(floor, 16, f"b{number}") for number in range(sizes.repeats)]
    return [
        Figure("steps", "1 workflow", sorted(one)[len(one) // 2], "steps/s", SUBJECT, sync),
        Figure("steps", "16 workflows", sorted(many)[len(many) // 2], "steps/s", SUBJECT, sync),
    ]


async def _rate(floor: Floor, at_once: int, prefix: str, count: int = 100) -> float:
    runs = [f"{prefix}x{number}" for number in range(at_once)]
    began = time.perf_counter()
    await each(runs, lambda run: floor.steps(run, count), at_once)
    return at_once * count / (time.perf_counter() - began)
