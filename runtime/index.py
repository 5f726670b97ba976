"""The index of runs that people list and filter: a bucket derived from the logs.

A run that has ended, or waits for something other than a person, is written before the mail that
brought it there is acknowledged: a crash leaves the mail to be redelivered and the row to be
written then. A run that waits for a person is shown by its question's record, and one that is under
way by a row written a little later, if it still is then. A row that is not final is written by
compare-and-set, so that it never hides a later one.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from ..bus.bucket import Bucket
from ..bus.errors import BusError, Conflict
from . import crash
from .journal import RunState
from .run import LiveRun
from .times import iso

log = structlog.get_logger("layby.index")

_WINDOW = 0.01
"""Seconds within which changes of a run become one write."""
_LATER = 0.25
"""Seconds after which a run that is under way gets a row."""
_TRIES = 20


class IndexRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the index holds of a run."""

    id: str
    workflow: str
    ticket: str
    status: str
    started_at: str
    updated_at: str
    pos: int
    """The position of the log that the row reflects."""
    error: str = ""


def row_of(state: RunState) -> IndexRow:
    """The row of a run."""
    return IndexRow(
        id=state.id,
        workflow=state.workflow,
        ticket=state.ticket,
        status=state.status,
        started_at=iso(state.started_at),
        updated_at=iso(state.updated_at),
        pos=state.tail,
        error=state.error,
    )


class Index:
    """Writes rows behind the runs."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._pending: dict[str, asyncio.Task[None]] = {}
        self._later: dict[str, LiveRun] = {}
        self._loop = asyncio.get_running_loop()

    async def reflect(self, live: LiveRun) -> None:
        """Return when people can see the run as it is now, or will without our doing."""
        state = live.state
        if not state.ended and (not state.waits or state.asking_since):
            self._look_later(live)
            return
        pending = self._pending.get(live.id)
        if pending is None:
            pending = self._loop.create_task(self._write_soon(live))
            self._pending[live.id] = pending
        await asyncio.shield(pending)

    def _look_later(self, live: LiveRun) -> None:
        """Write a row in a while for a run that is still under way then."""
        if live.id not in self._later:
            self._later[live.id] = live
            self._loop.call_later(_LATER, self._look, live)

    def _look(self, live: LiveRun) -> None:
        self._later.pop(live.id, None)
        state = live.state
        if not state.ended and not state.waits and live.id not in self._pending:
            task = self._loop.create_task(self._write_behind(live))
            self._pending[live.id] = task

    async def _write_behind(self, live: LiveRun) -> None:
        try:
            await self._write_soon(live)
        except BusError as error:
            log.info("index.postponed", run=live.id, error=str(error))

    async def _write_soon(self, live: LiveRun) -> None:
        try:
            await asyncio.sleep(_WINDOW)
        finally:
            # Changes from here on are not in this write.
            self._pending.pop(live.id, None)
        crash.point("before_index")
        await self._write(live)
        crash.point("after_index")

    async def _write(self, live: LiveRun) -> None:
        for _ in range(_TRIES):
            row = row_of(live.state)
            data = msgspec.json.encode(row)
            if live.state.ended:
                live.indexed = await self._bucket.put(live.id, data)
                return
            try:
                live.indexed = await self._bucket.put(live.id, data, revision=live.indexed or 0)
            except Conflict:
                item = await self._bucket.get(live.id)
                if item is None:
                    continue
                live.indexed = item.revision
                if msgspec.json.decode(item.value, type=IndexRow).pos >= row.pos:
                    return
            else:
                return
        raise BusError(f"run {live.id}: its row in the index kept changing")
