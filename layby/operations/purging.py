"""Removes runs that ended long ago, with everything that they left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import structlog

from ..actors.people.migration import is_in_order
from ..actors.people.notices import NOTICE
from ..actors.people.rungs import timer_of as rung_timer
from ..actors.people.tickets import Tickets
from ..bus.blobs import Blobs
from ..bus.bucket import Bucket
from ..bus.errors import Erased, StreamMissing
from ..bus.log import Log
from ..bus.reading import every, newest, sequence, stored_at
from ..bus.requests import Requests
from ..bus.timers import Timers
from ..bus.token import encode
from ..runtime import crash
from ..runtime.entry import Ended
from ..runtime.envelope import read
from ..runtime.errors import Fenced
from ..runtime.index import BUCKET, IndexRow, key_of
from ..runtime.run import LiveRun
from ..runtime.state import COMPLETED, UNENDED, RunState
from ..runtime.times import iso
from ..runtime.unseen_records import Removed
from ..runtime.worker import CANCEL
from ..views.listing import Progress, check_index_current, of_runs, row_in
from ..views.rows import Purged
from .run_keys import RunKeys

log = structlog.get_logger("layby.retention")

_AT_ONCE = 128
_KEEP = 7 * 86_400.0
"""Seconds that the closed questions of a ticket's other runs are still kept."""
_CLOCKS = 60.0
"""Seconds by which the clock of a row's writer may be ahead of the server's."""
_ANY = "*"
"""Stands for every workflow."""


class Purge:
    """Removes ended runs, many at a time.

    A run's row is removed last, so that an interrupted removal is found again. Everything here can
    be repeated, even by several workers at once. What several runs of a ticket share goes with the
    last of them; two workers that remove one each look once more when their rows are gone.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._log = Log(requests)
        self._index = Bucket(requests, BUCKET)
        self._blobs = Blobs(requests)
        self._tickets = Tickets(Bucket(requests, "parked"), _KEEP)
        self._timers = Timers(requests)
        self._keys = RunKeys(requests, self._log)
        self._before: dict[str, str] = {}
        """Runs that ended before this are removed, by workflow."""
        self._messages = 0

    async def run(self, older_than: float, progress: Progress | None = None) -> Purged:
        """Remove the runs that ended more than `older_than` seconds ago. Raises OldIndex."""
        await check_index_current(self._requests)
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
        """The rows, written before `until`, of ended runs that are no longer kept."""
        now, names = time.time(), self._requests.names
        self._before = {workflow: iso(now - age) for workflow, age in kept.items()}
        stream, rows = names.bucket_stream(BUCKET), names.keys(BUCKET, "*.*")
        try:
            async for message in every(self._requests, stream, rows):
                if stored_at(message) > until:
                    return
                row = row_in(message)
                if row is not None and self._is_due(row):
                    yield row
        except StreamMissing:
            return  # nothing is provisioned yet

    def _is_due(self, row: IndexRow) -> bool:
        before = self._before.get(row.workflow, self._before.get(_ANY, ""))
        return row.status not in UNENDED and row.updated_at < before

    async def _remove(self, rows: list[IndexRow]) -> int:
        """Remove the runs that are no longer needed; return how many."""
        may_go = await asyncio.gather(*map(self._may_go, rows))
        going = [row for row, goes in zip(rows, may_go, strict=True) if goes]
        # Before their logs, which alone say which keys they have.
        await self._keys.destroy(row.id for row in going)
        crash.point("purge_keys_destroyed")
        await asyncio.gather(*map(self._remove_one, going))
        asked = sorted({row.ticket for row in going if row.asked})
        keys = {key_of(row.ticket, row.id) for row in going}
        alone = await asyncio.gather(*(self._forget_questions(each, keys) for each in asked))
        await asyncio.gather(*map(self._index.forget, keys))
        crash.point("purge_row_removed")
        shared = [ticket for ticket, was in zip(asked, alone, strict=True) if not was]
        await asyncio.gather(*(self._forget_questions(each, keys) for each in shared))
        return len(going)

    async def _may_go(self, row: IndexRow) -> bool:
        """Whether nobody needs a run, and nobody can retry it."""
        if row.parent and await self._parent_needs(row):
            return False
        if not await self._is_confirmed(row):
            log.warning("row.disbelieved", run=row.id, ticket=row.ticket, status=row.status)
            return False
        # If not, it was reopened a moment ago.
        return row.status == COMPLETED or await self._fence(row)

    async def _remove_one(self, row: IndexRow) -> None:
        if row.asked:
            for question in await self._tickets.drop(row.ticket, row.id):
                await self._timers.disarm(question.id)
                if question.may_have_rungs:
                    await self._timers.disarm(rung_timer(question.id, "*"))
        await self._blobs.purge(row.id)
        purged = await self._log.purge(row.id)
        self._messages += purged
        crash.point("purge_log_removed")
        # A worker may have it in memory: the same event would start nothing there.
        word = self._requests.names.subject(f"{CANCEL}.{row.id}")
        await self._requests.publish(word, row.ticket.encode())

    async def _is_confirmed(self, row: IndexRow) -> bool:
        """Whether the log confirms that the run has ended, or is gone already.

        A row is only a cache: a forged row must not remove a run's log.
        """
        try:
            held = await self._log.at(row.id, 1, row.pos)
        except Erased:
            return True  # nobody can continue it
        if row.pos in held and _ends(held[row.pos]):
            return True
        if not held:
            return True  # an earlier purge was cut short
        live = LiveRun(self._log, RunState(id=row.id))
        await live.load()
        return live.state.ended

    async def _fence(self, row: IndexRow) -> bool:
        """Record that the run is being removed; False if it was reopened.

        A reopening appends at the same position, and only one of the two is stored.
        """
        live = LiveRun(self._log, RunState(id=row.id))
        try:
            await live.catch_up()
        except Erased:
            return True  # an earlier purge was cut short, or nobody can continue it
        state = live.state
        if not state.frames or state.removed:
            return True  # an earlier purge was cut short
        if state.tail > row.pos:
            return False
        try:
            await live.append([Removed()])
        except Fenced:
            return live.state.removed
        crash.point("purge_fenced")
        return True

    async def _parent_needs(self, row: IndexRow) -> bool:
        """Whether a parent that stays may still need the run's result."""
        parents = await of_runs(self._requests, self._log, [row.parent])
        return any(not self._is_due(parent) for parent in parents)

    async def _forget_questions(self, ticket: str, going: set[str]) -> bool:
        """Remove a ticket's published questions, notices and receipts; False if others need them.

        Others are the runs of the ticket whose rows are not `going`. A question that is asked
        meanwhile stays: only those that were published before anybody looked are removed.
        """
        names, token = self._requests.names, encode(ticket)
        published = names.stream("QUESTIONS")
        questions = await newest(self._requests, published, [names.subject(f"*.question.{token}")])
        stream = names.bucket_stream(BUCKET)
        rows = await newest(self._requests, stream, [names.keys(BUCKET, f"{token}.*")])
        gone = {names.keys(BUCKET, key) for key in going}
        record, _ = await self._tickets.get_newest(ticket)
        if record is not None or any(
            row.data and row.headers["Nats-Subject"] not in gone for row in rows
        ):
            return False
        until = max(map(sequence, questions), default=0) + 1
        for noun, more in (("question", {"seq": until}), ("receipt", {}), (NOTICE, {})):
            body = {"filter": names.subject(f"*.{noun}.{token}"), **more}
            await self._requests.api(f"STREAM.PURGE.{published}", body)
        return True


def _ends(data: bytes) -> bool:
    """Whether an entry of a log is the end of its run."""
    envelope = read(data)
    return envelope is not None and any(isinstance(each, Ended) for each in envelope.records)
