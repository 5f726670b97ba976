"""Removes runs that ended long ago, with everything that they have left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime

import structlog

from .actors.migration import is_in_order
from .actors.parked import Parking
from .bus.blobs import Blobs
from .bus.bucket import Bucket
from .bus.errors import Erased, StreamMissing
from .bus.log import Log
from .bus.reading import every, newest
from .bus.requests import Requests
from .bus.timers import Timers
from .bus.token import encode
from .bus.wire import Message
from .listing import Progress, demand_current, of_runs, row_in
from .rows import Purged
from .runtime.entry import Ended, Removed, read
from .runtime.errors import Fenced
from .runtime.index import BUCKET, IndexRow, key_of
from .runtime.run import LiveRun
from .runtime.state import COMPLETED, UNENDED, RunState
from .runtime.times import iso
from .runtime.worker import CANCEL

log = structlog.get_logger("layby.retention")

_AT_ONCE = 128
_KEEP = 7 * 86_400.0
"""Seconds that the closed questions of a ticket's other runs are remembered further."""
_CLOCKS = 60.0
"""Seconds by which the clock of a row's writer may be ahead of the server's."""
_ANY = "*"
"""In the place of a workflow: each."""


class Purge:
    """Removes ended runs, many at a time.

    A run's row is removed last: whatever was cut short is found again by it, and everything here
    can be repeated, by several workers at once too.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._log = Log(requests)
        self._index = Bucket(requests, BUCKET)
        self._blobs = Blobs(requests)
        self._parking = Parking(Bucket(requests, "parked"), _KEEP)
        self._timers = Timers(requests)
        self._before: dict[str, str] = {}
        """Runs that ended before this are removed, by workflow."""
        self._messages = 0

    async def run(self, older_than: float, progress: Progress | None = None) -> Purged:
        """Remove the runs that ended more than `older_than` seconds ago. Raises OldIndex."""
        await demand_current(self._requests)
        until = float("inf")
        with suppress(StreamMissing):
            if await is_in_order(self._requests):
                until = time.time() - older_than + _CLOCKS
        return await self._sweep(self._ended({_ANY: older_than}, until), progress)

    async def expired(self, kept: Mapping[str, float]) -> Purged:
        """Remove the runs of these workflows that ended so many seconds ago.

        Rows are in the order in which they were written, so this reads little that is to stay.
        """
        return await self._sweep(self._ended(kept, until=time.time() - min(kept.values())))

    async def _sweep(
        self, rows: AsyncIterator[IndexRow], progress: Progress | None = None
    ) -> Purged:
        runs = 0
        page: list[IndexRow] = []
        async for row in rows:
            page.append(row)
            if len(page) >= _AT_ONCE:
                runs += await self._remove(page)
                page = []
                if progress is not None:
                    progress(runs)
        runs += await self._remove(page)
        return Purged(runs=runs, messages=self._messages)

    async def _ended(
        self, kept: Mapping[str, float], until: float = float("inf")
    ) -> AsyncIterator[IndexRow]:
        """The rows of ended runs that are kept no longer, of what was written before `until`."""
        now, names = time.time(), self._requests.names
        self._before = {workflow: iso(now - age) for workflow, age in kept.items()}
        stream, rows = names.bucket_stream(BUCKET), names.keys(BUCKET, "*.*")
        try:
            async for message in every(self._requests, stream, rows):
                if _stored_at(message) > until:
                    return
                row = row_in(message)
                if row is not None and self._is_due(row):
                    yield row
        except StreamMissing:
            return  # nothing was ever provisioned

    def _is_due(self, row: IndexRow) -> bool:
        before = self._before.get(row.workflow, self._before.get(_ANY, ""))
        return row.status not in UNENDED and row.updated_at < before

    async def _remove(self, rows: list[IndexRow]) -> int:
        return sum(await asyncio.gather(*map(self._remove_one, rows)))

    async def _remove_one(self, row: IndexRow) -> bool:
        """Remove a run; False where it is needed still."""
        if row.parent and await self._parent_needs(row):
            return False
        if not await self._bears_out(row):
            log.warning("row.disbelieved", run=row.id, ticket=row.ticket, status=row.status)
            return False
        if row.status != COMPLETED and not await self._fence(row):
            return False  # it was reopened a moment ago
        if row.asked:
            for question in await self._parking.drop(row.ticket, row.id):
                await self._timers.disarm(question.id)
        await self._blobs.purge(row.id)
        purged = await self._log.purge(row.id)
        self._messages += purged
        # A worker may hold it as it was: the same event would begin nothing there.
        word = self._requests.names.subject(f"{CANCEL}.{row.id}")
        await self._requests.tell(word, row.ticket.encode())
        await self._index.forget(key_of(row.ticket, row.id))
        if row.asked:
            await self._forget_questions(row.ticket)
        return True

    async def _bears_out(self, row: IndexRow) -> bool:
        """Whether the log says too that the run has ended, or is gone already.

        A row is only a note: whoever could write a false one must not have a run's log removed.
        """
        try:
            held = await self._log.at(row.id, 1, row.pos)
        except Erased:
            return True  # nobody can go on with it
        if row.pos in held and _ends(held[row.pos]):
            return True
        if not held:
            return True  # an earlier purge was cut short
        live = LiveRun(self._log, RunState(id=row.id))
        await live.load()
        return live.state.ended

    async def _fence(self, row: IndexRow) -> bool:
        """Have the log say that the run is being removed; False where it was reopened.

        Whoever reopens it appends at the same position, and one of the two is first.
        """
        live = LiveRun(self._log, RunState(id=row.id))
        await live.catch_up()
        state = live.state
        if not state.frames or state.removed:
            return True  # an earlier purge was cut short
        if state.tail > row.pos:
            return False
        try:
            await live.append([Removed()])
        except Fenced:
            return live.state.removed
        return True

    async def _parent_needs(self, row: IndexRow) -> bool:
        """Whether a parent that stays may still read what the run returned."""
        parents = await of_runs(self._requests, self._log, [row.parent])
        return any(not self._is_due(parent) for parent in parents)

    async def _forget_questions(self, ticket: str) -> None:
        """Remove the published questions and receipts of a ticket that has no run any more."""
        names, token = self._requests.names, encode(ticket)
        stream = names.bucket_stream(BUCKET)
        rows = await newest(self._requests, stream, [names.keys(BUCKET, f"{token}.*")])
        record, _ = await self._parking.get_newest(ticket)
        if record is not None or any(message.data for message in rows):
            return
        for noun in ("question", "receipt"):
            named = names.subject(f"*.{noun}.{token}")
            body = {"filter": named}
            await self._requests.api(f"STREAM.PURGE.{names.stream('QUESTIONS')}", body)


def _ends(data: bytes) -> bool:
    """Whether an entry of a log is the end of its run."""
    envelope = read(data)
    return envelope is not None and any(isinstance(each, Ended) for each in envelope.records)


def _stored_at(message: Message) -> float:
    return datetime.fromisoformat(message.headers["Nats-Time-Stamp"]).timestamp()
