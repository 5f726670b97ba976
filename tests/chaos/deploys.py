"""Deploys that rename a recorded step under parked runs, and are put back, while workers die."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Iterable

from layby.bus.errors import BusError
from layby.client import Client, NotDoneYet, NotRetryable
from layby.runtime.state import BLOCKED, FAILED, RunState

from . import logins
from .app import NOT_YET
from .campaign import Campaign
from .driver import Stuck
from .fleet import Worker
from .plan import Ticket, deployed_over, inherited
from .report import Report
from .scenarios import is_over

_SETTLE = 40.0
_MEET = 20.0
_HEIRS = 2
"""Tickets of a round that fail with their child."""
_BLOCKING = ("before_blocked", "after_blocked")
_TAKING_UP = ("before_unblocked", "after_unblocked")
_REOPENING = ("before_reopened", "after_reopened")
POINTS = (*_BLOCKING, *_TAKING_UP, *_REOPENING)
"""The crash points that are met here and in no other campaign."""


async def deploys(c: Campaign, *, rounds: int = 1, tickets: int = 12, kills: int = 4) -> Report:
    """A release renames a step under parked runs and is put back; workers of both are killed."""
    async with _retrying(c) as retrier:
        for _ in range(rounds):
            await _Round(c, retrier, kills).run(tickets)
        report = await c.settle(_SETTLE)
    blocked = sum(retrier.seen_blocked.values())
    report.notes.append(f"{blocked} times blocked; retried: {retrier.retried}")
    return report


class _Round:
    """One deploy and its end."""

    def __init__(self, c: Campaign, retrier: _Retrier, kills: int) -> None:
        self._c = c
        self._retrier = retrier
        self._kills = kills

    async def run(self, count: int) -> None:
        c, first = self._c, len(self._c.driver.tickets) + 1
        c.driver.people.clear()
        await c.start(2 - len(c.fleet.living))
        heirs = [inherited(n) for n in range(first, first + _HEIRS)]
        parked = deployed_over(c.seed, count, first + _HEIRS)
        c.driver.open(*heirs, *parked)
        await c.until(lambda: all(map(c.driver.was_asked, parked)), _MEET, "questions")
        await c.until(lambda: all(map(self._failed, heirs)), _MEET, "failures")
        await self._stop(c.fleet.living)
        await self._reopen(heirs)
        await self._break()
        await self._side_by_side()
        await self._put_back()
        await c.until(lambda: is_over(c, [*heirs, *parked]), _SETTLE, "the runs go on")

    async def _reopen(self, heirs: Iterable[Ticket]) -> None:
        """Retry what failed before the deploy; who reopens its children for it dies."""
        victims = [await self._start(crash=point) for point in _REOPENING]
        self._retrier.due.update(ticket.id for ticket in heirs)
        await self._met(victims, _REOPENING)

    async def _break(self) -> None:
        """Deploy, and have people answer."""
        c = self._c
        victims = [await self._start(crash=point, renamed=True) for point in _BLOCKING]
        c.driver.people.set()
        await self._met(victims, _BLOCKING)
        await c.start(2, renamed=True)
        await c.until(lambda: self._blocked() > 0, _MEET, "a blocked run")

    async def _side_by_side(self) -> None:
        """Bring the release back that fits, beside the other one."""
        c = self._c
        # Each finds a run that is blocked as soon as it looks: it has died when it is ready.
        for point in _TAKING_UP:
            await c.until(lambda: self._blocked() > 0, _MEET, "a blocked run")
            victim = await self._start(crash=point)
            await self._met([victim], [point])
        await c.start(2)
        await self._start(crash=_BLOCKING[1], renamed=True)  # may find no more to block
        for _ in range(self._kills):
            await c.while_looking(c.draw.uniform(0.1, 0.6))
            ready = [worker for worker in c.fleet.living if worker.ready.is_set()]
            if not ready:
                continue
            victim = c.draw.choice(ready)
            await c.kill(victim)
            await c.start(renamed=victim.renamed)

    async def _put_back(self) -> None:
        """End the release that does not fit; the others, which have looked before, go on."""
        c = self._c
        await self._start(crash=_BLOCKING[1], renamed=True)
        await c.start(2 - sum(not worker.renamed for worker in c.fleet.living))
        await self._stop(worker for worker in c.fleet.living if worker.renamed)
        self._retrier.due.update(c.driver.tickets)

    async def _start(self, *, crash: str, renamed: bool = False) -> Worker:
        [worker] = await self._c.start(crash=crash, renamed=renamed)
        return worker

    async def _stop(self, workers: Iterable[Worker]) -> None:
        await asyncio.gather(*(self._c.kill(worker) for worker in list(workers)))

    async def _met(self, victims: list[Worker], points: Iterable[str]) -> None:
        """Wait until each has met its end."""
        c = self._c
        with contextlib.suppress(Stuck):
            await c.until(lambda: not any(v.lives for v in victims), _MEET, "ends")
        for victim, point in zip(victims, points, strict=True):
            if victim.lives:
                c.complaints.append(f"crash point {point} is not reached")
                await victim.kill()
            elif victim.code == -signal.SIGKILL:
                c.note(f"worker killed at {point}")

    def _blocked(self) -> int:
        return sum(state.status == BLOCKED for state in self._c.driver.history.states.values())

    def _failed(self, ticket: Ticket) -> bool:
        run = self._c.driver.history.run_of(ticket.id)
        return run is not None and run.status == FAILED


class _Retrier:
    """A person who retries runs: some that are blocked, and all that failed for a while."""

    def __init__(self, c: Campaign, client: Client) -> None:
        self._c = c
        self._client = client
        self.due: set[str] = set()
        """The tickets whose runs may be retried once they have failed."""
        self.retried = 0
        self.seen_blocked: dict[str, int] = {}
        self._looked: set[tuple[str, int]] = set()

    async def watch(self) -> None:
        while True:
            for state in list(self._c.driver.history.states.values()):
                if self._wants(state):
                    await self._retry(state.id)
            await asyncio.sleep(0.05)

    def _wants(self, state: RunState) -> bool:
        if state.status == FAILED:
            return state.ticket in self.due and NOT_YET in state.error
        if state.status != BLOCKED or (state.id, state.tail) in self._looked:
            return False
        self._looked.add((state.id, state.tail))
        self.seen_blocked[state.id] = self.seen_blocked.get(state.id, 0) + 1
        return self._c.draw.random() < 0.3

    async def _retry(self, run: str) -> None:
        # With the workers killed just now it is stored, and done by the next ones.
        with contextlib.suppress(NotRetryable, NotDoneYet, BusError):
            await self._client.retry(run, by=logins.OPERATOR, reason="let us see")
            self.retried += 1


@contextlib.asynccontextmanager
async def _retrying(c: Campaign) -> AsyncGenerator[_Retrier]:
    async with Client.connect(logins.settings(c.server.url, logins.OPERATOR)) as client:
        retrier = _Retrier(c, client)
        task = asyncio.create_task(retrier.watch())
        try:
            yield retrier
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
