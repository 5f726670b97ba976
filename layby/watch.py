"""Looks on while runs happen: as events for programs, as lines for people."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from .bus.blobs import Blobs
from .bus.connection import Connection
from .bus.errors import BusError, Erased, KeyMissing
from .bus.log import ALL, Log, LogMessage, parse
from .bus.requests import Requests
from .events import AnyEvent, RunEnded, number
from .lookup import find
from .rows import TimelineLine
from .runtime.entry import Stepped, read
from .runtime.ids import is_run_id
from .runtime.past import entries
from .runtime.speech import TextDelta, step_name
from .runtime.vouching import Signers
from .scribe import Scribe
from .tail import Tail
from .timeline import Narrator

_ENDED = "run.ended"
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.5
"""Seconds after which a position that was heard of counts as refused."""
_REMEMBERED = 1_000
"""Runs that are over, of which nothing more is told."""


class Watch:
    """What `Client.events` and `Client.follow` do."""

    def __init__(
        self,
        connection: Connection,
        requests: Requests,
        log: Log,
        blobs: Blobs,
        signers: Signers | None = None,
    ) -> None:
        self._signers = signers
        self._connection = connection
        self._requests = requests
        self._log = log
        self._blobs = blobs

    async def events(
        self, name: str, seen: tuple[int, float], *, wait: bool
    ) -> AsyncGenerator[AnyEvent]:
        """One run's events that are later than `seen`, and what is said meanwhile."""
        run = await self._meant(name, wait=wait)
        scribe, last = Scribe(run, self._blobs, self._signers), "0"
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
                    if isinstance(event, RunEnded) and await self._is_last(run, told.n):
                        return

    async def lines(self, name: str, *, text: bool, wait: bool) -> AsyncGenerator[TimelineLine]:
        """One run's lines, from its beginning to its end."""
        run = await self._meant(name, wait=wait)
        narrator, answered = Narrator(run, self._signers), set[str]()
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
                    if line.kind == _ENDED and await self._is_last(run, told.n):
                        return

    async def _meant(self, name: str, *, wait: bool) -> str:
        """The id of the run that is meant. Raises NoSuchRun, unless it may be waited for."""
        return name if wait and is_run_id(name) else await find(self._requests, self._log, name)

    async def _is_last(self, run: str, n: int) -> bool:
        """Whether nobody has reopened a run that ended at position `n`."""
        return not await self._log.exists(run, n + 1)

    async def every_line(self) -> AsyncGenerator[TimelineLine]:
        """The lines of all runs that something happens in from now on."""
        heard: dict[str, int] = {}
        woken = asyncio.Event()

        async def receive(msg: Any) -> None:
            with contextlib.suppress(BusError):
                _, run, n = parse(msg.subject)
                heard[run] = max(n, heard.get(run, 0))
                woken.set()

        nc = self._connection.nc
        sub = await nc.subscribe(self._log.names.subject(ALL), cb=receive)
        tellers: dict[str, _Teller] = {}
        over: OrderedDict[str, int] = OrderedDict()
        try:
            await nc.flush(2)
            while True:
                await woken.wait()
                woken.clear()
                now, heard = heard, {}
                now = {run: n for run, n in now.items() if n > over.get(run, 0)}
                for run in now:
                    tellers.setdefault(run, _Teller(run, self._log, self._signers))
                for lines in await asyncio.gather(*(tellers[r].up_to(n) for r, n in now.items())):
                    for line in lines:
                        yield line
                        over.pop(line.run, None)
                        if line.kind == _ENDED:
                            # Its last entries may be heard of only now; it may be reopened.
                            over[line.run] = tellers[line.run].told
                            if len(over) > _REMEMBERED:
                                del tellers[over.popitem(last=False)[0]]
        finally:
            with contextlib.suppress(Exception):  # the connection may be gone
                await sub.unsubscribe()


class _Teller:
    """Tells one run as its log has it; what is heard of it only says that there is more."""

    def __init__(self, run: str, log: Log, signers: Signers | None = None) -> None:
        self._run = run
        self._log = log
        self._narrator = Narrator(run, signers)
        self.told = 0

    async def up_to(self, n: int) -> list[TimelineLine]:
        """The lines up to position `n` that were not told, as soon as the stream has it."""
        lines: list[TimelineLine] = []
        pause = _FIRST_PAUSE
        while self.told < n and pause < _LONGEST_PAUSE:
            try:
                found = await entries(self._log, self._run, self.told)
            except (Erased, KeyMissing):
                self.told = n  # nobody here can read it; of the others there is something to tell
                return lines
            for message in found:
                self.told = message.n
                lines += [line for line, _ in self._narrator.tell(message)]
            if self.told < n:  # heard of before it was stored
                await asyncio.sleep(pause)
                pause *= 2
        return lines


def _steps_done(message: LogMessage) -> set[str]:
    envelope = read(message.data)
    records = envelope.records if envelope is not None else ()
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
