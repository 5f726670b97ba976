"""The index of runs that people list and filter: a bucket derived from the logs.

A row is written behind the run, several changes at once, before the mail that caused them is
acknowledged: a crash leaves the mail to be redelivered and the row to be written then. A row that
is not final is written by compare-and-set, so that it never hides a later one.
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

    async def reflect(self, live: LiveRun) -> None:
        """Return when the index shows the run as it is now, or later."""
        pending = self._pending.get(live.id)
        if pending is None:
            pending = asyncio.get_running_loop().create_task(self._write_soon(live))
            self._pending[live.id] = pending
        await asyncio.shield(pending)

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
