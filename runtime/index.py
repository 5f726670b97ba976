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
from .failure import reason_of
from .run import LiveRun
from .state import BLOCKED, RunState
from .times import iso

log = structlog.get_logger("layby.index")

_LATER = 0.25
"""Seconds after which a run that is under way gets a row."""
_TRIES = 20
_LONGEST = 500


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
    """Why it did not complete, or does not go on: see `reason`."""
    needs: str = ""
    """What people can do for a run that is blocked."""


def error(state: RunState) -> str:
    """Why a run did not complete, or is blocked, as it was recorded; empty while it goes on."""
    return state.blocked[0][1].reason if state.status == BLOCKED else state.error


def reason(state: RunState) -> str:
    """The same on one line, with the error's type and place where an exception ended the run."""
    failure = state.failure if state.ended else None
    text = error(state) if failure is None else reason_of(failure)
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…"


def needs(state: RunState) -> str:
    """What people can do for a run that is blocked; empty for all others."""
    return state.blocked[0][1].needs if state.status == BLOCKED else ""


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
        error=reason(state),
        needs=needs(state),
    )


class Index:
    """Writes rows behind the runs."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._later: dict[str, LiveRun] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def reflect(self, live: LiveRun) -> None:
        """Return when people can see the run as it is now, or will without our doing."""
        state = live.state
        if state.ended or state.blocked or (state.waits and not state.asking_since):
            crash.point("before_index")
            await self._write(live)
            crash.point("after_index")
        elif live.id not in self._later and (state.blocks or not state.waits):
            self._later[live.id] = live
            self._loop.call_later(_LATER, self._look, live)

    def _look(self, live: LiveRun) -> None:
        """Write a row for a run that is still under way."""
        self._later.pop(live.id, None)
        if not live.state.ended and (live.state.blocks or not live.state.waits):
            task = self._loop.create_task(self._write_behind(live))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write_behind(self, live: LiveRun) -> None:
        try:
            await live.load()  # another worker may have ended the run by now
            await self._write(live)
        except BusError as error:
            log.info("index.postponed", run=live.id, error=str(error))

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
