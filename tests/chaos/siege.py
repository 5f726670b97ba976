"""Every fault at once, for a campaign: workers die at named points beside some that go on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from layby.bus.errors import BusError
from tests.fix_proxy import Proxy

from .campaign import Campaign, Found
from .fleet import Worker
from .plan import Ticket
from .report import Report

Make = Callable[[random.Random, int], Ticket]
Faults = tuple[Callable[[], Awaitable[None]], ...]

_SETTLE = 60.0
_HEALTHY = 2
"""Workers that no crash point is chosen for, beside the one with a network of its own."""
_DOOMED = 3
"""Workers that are to die at a named point, at once."""
_STOPPED = 3.0
"""Seconds that a worker is stopped: two ack-waits."""
_HELD = 2.0
"""Seconds for which answers stay in their stream, or a network passes nothing on."""
_SHORT = 3
"""Faults of the short form."""
_STEPS = 40
"""Faults for each round after which a point that no worker has met is not waited for."""
_AMID = 0.2
_OUTAGE = 6.0
"""Seconds in which those whose server or network was gone find out what was stored."""
_DOWN = 1.5
"""Seconds without any worker."""
_EARLY = 0.15
"""The share of tickets that are answered before anything is asked."""


class Siege:
    """Opens tickets and makes faults until workers have died at every point."""

    def __init__(
        self,
        c: Campaign,
        make: Make,
        early: Callable[[Ticket], Awaitable[None]],
        *,
        mailboxes: Sequence[str],
        notifiers: int = 0,
    ) -> None:
        self._c = c
        self._make = make
        self._early = early
        self._mailboxes = mailboxes
        """Consumers of answers that are held back for a while."""
        self._notifiers = notifiers
        """Processes that only notify, besides the workers."""
        self._draw = random.Random(c.seed)  # noqa: S311
        self._proxy = Proxy(c.server.url)
        self.delays: list[tuple[float, float]] = []
        """When a process was stopped, or a network silent."""
        self.outages: list[float] = []
        """When a network was cut, or the server killed."""
        self._left_alone: list[float] = []
        """When nobody was up any more."""
        self._opened = 0
        """Tickets so far, those that are answered before they are opened included."""
        self._left: deque[tuple[str, int]] = deque()
        """The points at which a worker is still to die, and at which visit."""
        self._doomed: dict[Worker, str] = {}
        self.idle: Callable[[], Awaitable[None]] = self._hold_answers
        """What is done while only points are left."""
        self.faults: Faults = (
            *((self._hold_answers,) if mailboxes else ()),
            *(self._restart_server, self._all_down, self._kill),
            *(self._cut, self._silence, self._stop),
        )

    def was_delayed(self, since: float, until: float, outage: float = _OUTAGE) -> bool:
        """Whether what a worker was amid in a span of time may have come later.

        `outage`: seconds from the death of a server or a network until nothing comes late any more.
        """
        outages = ((at - _AMID, at + outage) for at in self.outages)
        return any(a <= until and since <= b for a, b in (*self.delays, *outages))

    def absences(self) -> list[tuple[float, float]]:
        """When nobody was up: until the first one took work again."""
        starts = [each.ready_at for each in self._c.fleet.workers.values() if not each.notifies]
        now = time.time()
        return [(at, min((s for s in starts if s > at), default=now)) for at in self._left_alone]

    async def run(
        self,
        points: Sequence[str],
        *,
        rounds: int,
        tickets: int,
        over: Callable[[], None] = lambda: None,
    ) -> Report:
        """Do it, `rounds` times for each point and each fault, call `over`, and judge.

        At a point that ends in `@notify` a process dies that only notifies.
        `rounds` 0 is the short form: each point once, and the first faults alone.
        """
        await self._proxy.start()
        try:
            await self._c.start(_HEALTHY)
            await self._c.start(url=self._proxy.url)
            await self._c.start(self._notifiers, notifies=True)
            doomed = 0 if self._notifiers else _DOOMED
            async with self._c.manned(_HEALTHY + 1 + doomed, self._notifiers):
                await self._besiege(points, rounds, tickets)
            over()
            return await self._c.settle(_SETTLE)
        finally:
            await self._proxy.stop()

    async def _besiege(self, points: Sequence[str], rounds: int, tickets: int) -> None:
        left, faults = self._left, itertools.cycle(self.faults)
        left.extend((point, 1 + number % 3) for number in range(rounds or 1) for point in points)
        wanted = rounds * len(self.faults) or _SHORT
        for step in range(_STEPS * (rounds or 1)):
            self._bury()
            if self._c.is_found():
                raise Found
            if not (left or self._doomed) and step >= wanted:
                return
            while left and len(self._doomed) < _DOOMED:
                point, visit = left.popleft()
                name, _, whose = point.partition("@")
                [victim] = await self._c.start(crash=f"{name}:{visit}", notifies=bool(whose))
                self._doomed[victim] = point
            self.open(tickets)
            await self._c.while_looking(self._draw.uniform(0.1, 0.5))
            # Some points are met only by whoever finds answers that came in time, and late itself.
            if step < wanted:
                await next(faults)()
            else:
                await self.idle()
        for victim, point in self._doomed.items():
            self._c.complaints.append(f"crash point {point} is not reached")
            await victim.kill()

    def open(self, count: int, make: Make | None = None) -> None:
        """Open some tickets, as they are made for all or as `make` makes them."""
        for _ in range(count):
            self._opened += 1
            ticket = (make or self._make)(self._draw, self._opened)
            if self._draw.random() < _EARLY:
                self._c.driver.go(self._answered_early(ticket))
            else:
                self._c.driver.open(ticket)

    async def _answered_early(self, ticket: Ticket) -> None:
        await self._early(ticket)
        self._c.driver.open(ticket)

    def _bury(self) -> None:
        """Count those who have died where they were to."""
        for victim, point in list(self._doomed.items()):
            if not victim.lives:
                del self._doomed[victim]
                if victim.code == -signal.SIGKILL:
                    self._c.note(f"worker killed at {point}")

    # -- faults ----------------------------------------------------------------------------------

    def _ready(self) -> list[Worker]:
        return [w for w in self._c.fleet.living if w.ready.is_set() and w not in self._doomed]

    async def _kill(self) -> None:
        if ready := self._ready():
            await self._c.kill(self._draw.choice(ready))

    async def _cut(self) -> None:
        self._c.note("worker's network cut")
        self.outages.append(time.time())
        self._proxy.cut()

    async def _silence(self) -> None:
        self._c.note("worker's network silent")
        since = time.time()
        self._proxy.hold()
        await self._c.while_looking(_HELD)
        self._proxy.release()
        self.delays.append((since, time.time()))

    async def _stop(self) -> None:
        if ready := self._ready():
            since = time.time()
            await self._c.pause(self._draw.choice(ready), _STOPPED)
            self.delays.append((since, time.time()))

    async def _restart_server(self) -> None:
        async with self._nobody_new():
            self.outages.append(time.time())
            await self._c.restart_server(self._draw.choice([0.0, 0.5]))

    async def _hold_answers(self) -> None:
        """Let deadlines come while answers in time are in their stream and not read."""
        self._c.note("answers held back")
        until = datetime.now(UTC) + timedelta(seconds=_HELD)
        for name in self._mailboxes:
            body = {"pause_until": until.isoformat().replace("+00:00", "Z")}
            try:
                await self._c.driver.requests.api(f"CONSUMER.PAUSE.ANSWERS.{name}", body)
            except BusError:
                continue  # it is not there yet
        await self._c.while_looking(_HELD)

    async def _all_down(self) -> None:
        """Nothing is up for a while: neither workers nor, towards the end, the server."""
        self.open(2)
        await self._c.while_looking(0.3)
        async with self._nobody_new():
            self._bury()
            for victim, point in self._doomed.items():
                self._left.append((point, 1))
                await victim.kill()
            self._doomed.clear()
            await asyncio.gather(*(self._c.kill(w) for w in self._c.fleet.living))
            self._c.note("all workers down")
            self._left_alone.append(time.time())
            await self._c.while_looking(_DOWN)
            self.outages.append(time.time())
            await self._c.restart_server(0.5)

    @contextlib.asynccontextmanager
    async def _nobody_new(self) -> AsyncGenerator[None]:
        """Nobody starts while the block runs: there may be no server to connect to."""
        self._c.deserted = True
        try:
            for worker in self._c.fleet.living:
                await self._c.until(
                    lambda: worker.ready.is_set() or not worker.lives,  # noqa: B023
                    30,
                    "all workers are ready",
                )
            yield
        finally:
            self._c.deserted = False
