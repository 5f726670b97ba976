"""Takes up runs that other workers could not go on with, where this one may fit them.

A worker looks when it starts, when its connection is back, and when another says that it has
blocked a run. It tries once for each blocked mail, unless that has come further since: two
releases side by side do not hand a run to and fro.
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
from .blocked import BlockedRuns
from .entry import Unblocked
from .errors import Fenced
from .failure import told
from .hints import Hints
from .run import LiveRun, RunCache
from .state import Block, RunState

log = structlog.get_logger("layby.blocked")

BLOCKED = "layby.blocked"
"""Subject prefix of the word to all workers that a run was blocked."""
_AT_ONCE = 16
_SPREAD = 0.3
"""Seconds over which workers spread that hear of the same run."""

Fits = Callable[[RunState, Block], bool]
"""Whether a worker declares what a blocked run needs of its app."""


class TakingUp:
    """Has blocked runs tried again by this worker."""

    def __init__(self, cache: RunCache, blocked: BlockedRuns, fingerprint: str, fits: Fits) -> None:
        self._cache = cache
        self._blocked = blocked
        self._fingerprint = fingerprint
        self._fits = fits
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._hints = Hints(self._heard_of)

    def begin(self) -> None:
        """Look for blocked runs, beside everything else."""
        self._spawn(self._look())

    async def heard(self, msg: Any) -> None:
        """Look at a run that another worker has blocked."""
        self._hints.hear(str(getattr(msg, "subject", "")).rpartition(".")[2])

    async def stop(self) -> None:
        """End what is under way; whoever looks next finds the rest."""
        await self._hints.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self) -> None:
        try:
            rows = [row async for row in self._blocked.rows()]
            taken = sum(await asyncio.gather(*(self._take(row.run) for row in rows)))
        except BusError as error:
            log.info("blocked.postponed", run="", error=str(error))
            return
        except Exception as error:  # noqa: BLE001  nobody else would tell of it
            log.warning("blocked.not_looked", run="", error=told(error))
            return
        if rows:
            log.info("blocked.looked", blocked=len(rows), taken=taken)

    async def _heard_of(self, run: str) -> None:
        await asyncio.sleep(random.uniform(0, _SPREAD))  # noqa: S311
        await self._take(run)

    async def _take(self, run: str) -> bool:
        """Have a run tried again if this worker may fit it and has not tried; whether it is."""
        async with self._slots:
            try:
                live = await self._cache.caught_up(await self._cache.get(run))
                taken = [await self._unblock(live, *each) for each in live.state.blocked]
                if not live.state.blocked:
                    await self._blocked.reflect(live)
                self._cache.drop(run)
            except BusError as error:
                log.info("blocked.postponed", run=run, error=str(error))
                return False
            except Exception as error:  # noqa: BLE001  a log that cannot be read stops no other run
                log.warning("blocked.not_looked", run=run, error=told(error))
                return False
        return any(taken)

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
