"""Adopts blocked runs: tries those that other workers could not continue and this one might.

A worker looks for them when it starts, when it reconnects, and when another worker announces a
blocked run. It tries each blocked mail once, and again only if the mail has made progress since:
two releases that run at the same time do not pass a run back and forth.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from ..bus.errors import BusError
from . import crash
from .blocked_runs import BlockedRuns
from .entry import Unblocked
from .errors import Fenced
from .failure import message_of
from .hints import Hints
from .run import LiveRun, RunCache
from .state import Block, RunState

log = structlog.get_logger("layby.blocked")

BLOCKED = "layby.blocked"
"""Subject prefix of the hint to all workers that a run is blocked."""
_AT_ONCE = 16
_SPREAD = 0.3
"""Seconds over which workers that hear of the same run spread out."""

Fits = Callable[[RunState, Block], bool]
"""Whether this worker's app declares what a blocked run needs."""


class Adopter:
    """Lets this worker try blocked runs again."""

    def __init__(self, cache: RunCache, blocked: BlockedRuns, fingerprint: str, fits: Fits) -> None:
        self._cache = cache
        self._blocked = blocked
        self._fingerprint = fingerprint
        self._fits = fits
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._hints = Hints(self._adopt_later)

    def scan(self) -> None:
        """Look for blocked runs, in the background."""
        self._spawn(self._scan())

    async def on_blocked(self, msg: Any) -> None:
        """Check a run that another worker has announced as blocked."""
        self._hints.receive(str(getattr(msg, "subject", "")).rpartition(".")[2])

    async def stop(self) -> None:
        """Cancel what is in progress; the next scan finds the rest."""
        await self._hints.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _scan(self) -> None:
        try:
            rows = [row async for row in self._blocked.rows()]
            adopted = sum(await asyncio.gather(*(self._adopt(row.run) for row in rows)))
        except BusError as error:
            log.info("blocked.postponed", run="", error=str(error))
            return
        except Exception as error:  # noqa: BLE001  nobody else would report it
            log.warning("blocked.not_looked", run="", error=message_of(error))
            return
        if rows:
            log.info("blocked.looked", blocked=len(rows), taken=adopted)

    async def _adopt_later(self, run: str) -> None:
        await asyncio.sleep(random.uniform(0, _SPREAD))  # noqa: S311
        await self._adopt(run)

    async def _adopt(self, run: str) -> bool:
        """Unblock a run that this worker fits and has not tried yet; whether it did."""
        async with self._slots:
            try:
                live = await self._cache.newest(run)
                adopted = [await self._unblock(live, *each) for each in live.state.blocked]
                if not live.state.blocked:
                    await self._blocked.reflect(live)
                self._cache.drop(run)
            except BusError as error:
                log.info("blocked.postponed", run=run, error=str(error))
                return False
            except Exception as error:  # noqa: BLE001  a log that cannot be read stops no other run
                log.warning("blocked.not_looked", run=run, error=message_of(error))
                return False
        return any(adopted)

    async def _unblock(self, live: LiveRun, cause: int, block: Block) -> bool:
        state = live.state
        if self._fingerprint in block.tried or not self._fits(state, block):
            return False
        unblocked = Unblocked(cause=cause, fingerprint=self._fingerprint)
        crash.point("before_unblocked")
        with suppress(Fenced):
            await live.append([unblocked], to=state.frames[block.frame].actor)
            crash.point("after_unblocked")
            log.info("run.taken_up", run=live.id, ticket=state.ticket, reason=block.reason)
            return True
        return False
