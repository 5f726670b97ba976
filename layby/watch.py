"""Looks on while runs happen: as events for programs, as lines for people."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from .bus.blobs import Blobs
from .bus.connection import Connection
from .bus.log import Log, LogMessage, parse
from .events import AnyEvent, RunEnded, number
from .rows import TimelineLine
from .runtime.entry import Stepped, decode
from .runtime.speech import TextDelta, step_name
from .scribe import Scribe
from .tail import Tail
from .timeline import Narrator

_ENDED = "run.ended"


class Watch:
    """What `Client.events` and `Client.follow` do."""

    def __init__(self, connection: Connection, log: Log, blobs: Blobs) -> None:
        self._connection = connection
        self._log = log
        self._blobs = blobs

    async def events(self, run: str, seen: tuple[int, float]) -> AsyncGenerator[AnyEvent]:
        """One run's events that are later than `seen`, and what is said meanwhile."""
        scribe, last = Scribe(run, self._blobs), "0"
        tail = Tail(self._connection, self._log, run).follow()
        async with contextlib.aclosing(tail):
            async for told in tail:
                if isinstance(told, TextDelta):
                    if told.step not in scribe.answered:
                        yield msgspec.structs.replace(told, id=last)
                    continue
                for event in await scribe.tell(told):
                    last = event.id
                    if number(event.id) > seen:
                        yield event
                    if isinstance(event, RunEnded):
                        return

    async def lines(self, run: str, *, text: bool) -> AsyncGenerator[TimelineLine]:
        """One run's lines, from its beginning to its end."""
        narrator, answered = Narrator(run), set[str]()
        tail = Tail(self._connection, self._log, run).follow(deltas=text)
        async with contextlib.aclosing(tail):
            async for told in tail:
                if isinstance(told, TextDelta):
                    if told.step not in answered:
                        yield _spoken(told, narrator.ticket)
                    continue
                answered |= _steps_done(told)
                for line, _ in narrator.tell(told):
                    yield line
                    if line.kind == _ENDED:
                        return

    async def every_line(self) -> AsyncGenerator[TimelineLine]:
        """The lines of all runs, from now on."""
        messages: asyncio.Queue[tuple[str, LogMessage]] = asyncio.Queue()

        async def receive(msg: Any) -> None:
            to, run_id, n = parse(msg.subject)
            messages.put_nowait((run_id, LogMessage(n, to, msg.data)))

        nc = self._connection.nc
        sub = await nc.subscribe("to.*.*.*", cb=receive)
        try:
            await nc.flush(2)
            tellers: dict[str, _Teller] = {}
            while True:
                run_id, message = await messages.get()
                teller = tellers.setdefault(run_id, _Teller(run_id, self._log))
                async for line in teller.tell(message):
                    yield line
                    if line.kind == _ENDED:
                        tellers.pop(run_id, None)
        finally:
            await sub.unsubscribe()


class _Teller:
    """Tells one run in the order of its log, whatever order its messages come in."""

    def __init__(self, run: str, log: Log) -> None:
        self._run = run
        self._log = log
        self._narrator = Narrator(run)
        self._told = 0

    async def tell(self, message: LogMessage) -> AsyncIterator[TimelineLine]:
        """The lines up to `message`, without those that were told before."""
        if message.n <= self._told:
            return
        missing = [message]
        if message.n > self._told + 1:
            missing = await self._log.load(self._run, self._told)
        for each in missing:
            if each.n == self._told + 1:
                self._told = each.n
                for line, _ in self._narrator.tell(each):
                    yield line


def _steps_done(message: LogMessage) -> set[str]:
    records = decode(message.data).records
    return {step_name(r.frame, r.key) for r in records if isinstance(r, Stepped)}


def _spoken(delta: TextDelta, ticket: str) -> TimelineLine:
    return TimelineLine(
        at=delta.at,
        run=delta.run,
        ticket=ticket,
        kind="text.delta",
        actor=delta.agent,
        detail=delta.text,
        data={"step": delta.step, "answer": delta.answer, "index": delta.index},
    )
