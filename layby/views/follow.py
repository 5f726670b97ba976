"""Follows runs while they happen: as events for programs, as lines for people."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from ..bus.blobs import Blobs
from ..bus.connection import Connection
from ..bus.errors import BusError, Erased, KeyMissing
from ..bus.log import Log
from ..bus.log_subject import ALL, parse
from ..bus.requests import Requests
from ..events import AnyEvent, RunEnded, number
from ..runtime.first_stored import entries
from ..runtime.ids import is_run_id
from ..runtime.streaming import TextDelta
from ..runtime.vouching import Signers
from .event_projection import EventProjection
from .log_tail import LogTail
from .lookup import find
from .rows import TimelineLine
from .timeline import TimelineProjection

_ENDED = "run.ended"
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.5
"""Seconds after which an announced position counts as refused."""
_REMEMBERED = 1_000
"""Ended runs whose late announcements are recognized."""


class Follower:
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
        self,
        name: str,
        seen: tuple[int, float],
        *,
        wait: bool,
        caught_up: asyncio.Event | None = None,
    ) -> AsyncGenerator[AnyEvent]:
        """One run's events after number `seen`, and the text of models as it streams."""
        run = await self._run_id(name, wait=wait)
        projection, last = EventProjection(run, self._blobs, self._signers), "0"
        tail = LogTail(self._connection, self._log, run, caught_up)
        async with contextlib.aclosing(tail.follow()) as items:
            async for item in items:
                if isinstance(item, TextDelta):
                    if item.step not in projection.complete:
                        yield msgspec.structs.replace(item, id=last)
                    continue
                for event in await projection.project(item):
                    last = event.id
                    if number(event.id) > seen:
                        yield event
                    if isinstance(event, RunEnded) and await self._is_last(run, item.n):
                        return

    async def lines(self, name: str, *, text: bool, wait: bool) -> AsyncGenerator[TimelineLine]:
        """One run's lines, from its start to its end."""
        run = await self._run_id(name, wait=wait)
        timeline = TimelineProjection(run, self._signers)
        tail = LogTail(self._connection, self._log, run).follow(deltas=text)
        async with contextlib.aclosing(tail):
            async for item in tail:
                if isinstance(item, TextDelta):
                    if item.step not in timeline.complete:
                        yield _text_line(item, timeline.ticket)
                    continue
                for line, _ in timeline.project(item):
                    yield line
                    if line.kind == _ENDED and await self._is_last(run, item.n):
                        return

    async def _run_id(self, name: str, *, wait: bool) -> str:
        """The id of the run that `name` refers to. Raises NoSuchRun, unless it may be awaited."""
        return name if wait and is_run_id(name) else await find(self._requests, self._log, name)

    async def _is_last(self, run: str, n: int) -> bool:
        """Whether nobody has reopened a run that ended at position `n`."""
        return not await self._log.exists(run, n + 1)

    async def every_line(self) -> AsyncGenerator[TimelineLine]:
        """The lines of all runs in which something happens from now on."""
        announced: dict[str, int] = {}
        woken = asyncio.Event()

        async def receive(msg: Any) -> None:
            with contextlib.suppress(BusError):
                _, run, n = parse(msg.subject)
                announced[run] = max(n, announced.get(run, 0))
                woken.set()

        nc = self._connection.nc
        sub = await nc.subscribe(self._log.names.subject(ALL), cb=receive)
        timelines: dict[str, _RunTimeline] = {}
        ended: OrderedDict[str, int] = OrderedDict()
        try:
            await nc.settle()
            while True:
                await woken.wait()
                woken.clear()
                now, announced = announced, {}
                now = {run: n for run, n in now.items() if n > ended.get(run, 0)}
                for run in now:
                    timelines.setdefault(run, _RunTimeline(run, self._log, self._signers))
                for lines in await asyncio.gather(*(timelines[r].up_to(n) for r, n in now.items())):
                    for line in lines:
                        yield line
                        ended.pop(line.run, None)
                        if line.kind == _ENDED:
                            # Its last entries may be announced only now, and it may be reopened.
                            ended[line.run] = timelines[line.run].shown
                            if len(ended) > _REMEMBERED:
                                del timelines[ended.popitem(last=False)[0]]
        finally:
            with contextlib.suppress(Exception):  # the connection may be gone
                await sub.unsubscribe()


class _RunTimeline:
    """One run's lines as its log has them; an announcement only says that there are more."""

    def __init__(self, run: str, log: Log, signers: Signers | None = None) -> None:
        self._run = run
        self._log = log
        self._timeline = TimelineProjection(run, signers)
        self.shown = 0

    async def up_to(self, n: int) -> list[TimelineLine]:
        """The new lines up to position `n`, as soon as the stream has it."""
        lines: list[TimelineLine] = []
        pause = _FIRST_PAUSE
        while self.shown < n and pause < _LONGEST_PAUSE:
            try:
                found = await entries(self._log, self._run, self.shown)
            except (Erased, KeyMissing):
                self.shown = n  # nobody here can read it; the other runs go on
                return lines
            for message in found:
                self.shown = message.n
                lines += [line for line, _ in self._timeline.project(message)]
            if self.shown < n:  # announced before it was stored
                await asyncio.sleep(pause)
                pause *= 2
        return lines


def _text_line(delta: TextDelta, ticket: str) -> TimelineLine:
    return TimelineLine(
        at=delta.at,
        run=delta.run,
        ticket=ticket,
        kind="text.delta",
        actor=delta.agent,
        detail=delta.text,
        data={"step": delta.step, "answer": delta.answer, "index": delta.index},
    )
