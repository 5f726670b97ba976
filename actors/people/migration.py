"""Migrates what an earlier release wrote: the index, and the open questions.

Until version 0.1 a row of the index had the key `<run>`, runs that waited for people had no row,
and open questions were listed from the parked records. Every step here can be repeated, and
several workers may run it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import structlog

from ...bus.bucket import Bucket
from ...bus.errors import Conflict, InvalidTicket, PermissionDenied, StreamMissing
from ...bus.reading import every
from ...bus.requests import Requests
from ...runtime.envelope import UNREADABLE
from ...runtime.index import BUCKET as RUNS
from ...runtime.index import IndexRow, key_of
from .confidential import sealed
from .left_in_log import in_full
from .open_questions import BUCKET as QUESTIONS
from .open_questions import OpenQuestion, decode, encode_row, question_key
from .parked_question import ParkedQuestion, waiting_row
from .tickets import ParkedRecord, Tickets
from .tickets import decode as decode_record

log = structlog.get_logger("layby.migration")

_MARK = "format"
"""The key of the rows' format; the key of a question has more than one word."""
_FORMAT = b"2"
_MIGRATED = b"2, migrated"
"""The same, of an index with rewritten rows: older runs may have newer rows."""
_PARALLEL = 64


async def is_current(requests: Requests, before: str) -> bool:
    """Whether the rows have the current format, or `before`, the bucket of earlier rows, is empty.

    Raises:
        StreamMissing: nothing was ever provisioned.
    """
    try:
        mark = await Bucket(requests, QUESTIONS).get(_MARK)
    except StreamMissing:
        mark = None
    if mark is not None:
        return True
    try:
        return not await _any(requests, before)
    except PermissionDenied:
        return True  # a person who may read only the open questions


async def is_in_order(requests: Requests) -> bool:
    """Whether rows are in the order in which their runs changed: none was ever migrated."""
    mark = await Bucket(requests, QUESTIONS).get(_MARK)
    return mark is not None and mark.value == _FORMAT


async def _any(requests: Requests, bucket: str) -> bool:
    names = requests.names
    async for _ in every(requests, names.bucket_stream(bucket), names.keys(bucket, ">"), 1):
        return True
    return False


_read_row = msgspec.json.Decoder(IndexRow).decode


class Migration:
    """Rewrites old rows."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._runs = Bucket(requests, RUNS)
        self._questions = Bucket(requests, QUESTIONS)
        self._tickets = Tickets(Bucket(requests, "parked"), 0.0)
        self.rows = 0
        """How many rows were written."""

    async def run(self) -> int:
        """Migrate what is left to migrate; return how many rows were written."""
        await self._rewrite_old_rows()
        if await self._questions.get(_MARK) is None:
            await self._list_open_questions()
            await self._questions.put(_MARK, _FORMAT)
        if self.rows:
            await self._questions.put(_MARK, _MIGRATED)
            log.info("index.migrated", rows=self.rows)
        return self.rows

    async def repeat(self) -> int:
        """Like `run`, with all questions again: a worker of the earlier release was running."""
        await self._list_open_questions()
        async for item in self._questions.items():
            if item.key != _MARK:
                row = item.read(decode)
                if row is not None:
                    await self._remove_if_closed(item.key, row)
        return await self.run()

    async def _remove_if_closed(self, key: str, row: OpenQuestion) -> None:
        """Remove the row of a question that a worker of the earlier release has closed."""
        record, _ = await self._tickets.get_newest(row.ticket)
        known = {each.id: each.status for each in record.questions} if record else {}
        if known.get(row.question.id) != "open":
            await self._questions.forget(key)

    async def _rewrite_old_rows(self) -> None:
        names = self._requests.names
        stream, subject = names.bucket_stream(RUNS), names.keys(RUNS, "*")
        page: list[bytes] = []
        async for message in every(self._requests, stream, subject):
            if message.data:
                page.append(message.data)
            if len(page) >= _PARALLEL:
                await asyncio.gather(*map(self._rewrite_old_row, page))
                page = []
        await asyncio.gather(*map(self._rewrite_old_row, page))

    async def _rewrite_old_row(self, data: bytes) -> None:
        try:
            row = msgspec.json.decode(data, type=IndexRow)
            key_of(row.ticket, row.id)
        except (*UNREADABLE, InvalidTicket):
            return  # not a row of Layby's: it must not stop a worker
        await self._write(row)
        await self._runs.forget(row.id)

    async def _list_open_questions(self) -> None:
        async for item in self._parked_records():
            for question in item.questions:
                if question.status == "open":
                    await self._list_question(item.ticket, question)

    async def _parked_records(self) -> AsyncGenerator[ParkedRecord]:
        async for item in Bucket(self._requests, "parked").items():
            record = item.read(decode_record)
            if record is not None:
                yield record

    async def _list_question(self, ticket: str, question: ParkedQuestion) -> None:
        shown = question
        if question.is_in_log:
            vault = self._requests.vault
            shown = await sealed(vault, await in_full(self._requests, question))
        row = OpenQuestion(ticket=ticket, question=shown)
        key = question_key(question.role, ticket, question.id)
        try:
            await self._questions.put(key, encode_row(row), revision=0)
        except Conflict:
            return
        self.rows += 1
        record, _ = await self._tickets.get_newest(ticket)
        if record is None or question not in record.questions:  # closed since
            await self._questions.forget(key)
            return
        await self._write(waiting_row(ticket, shown))

    async def _write(self, row: IndexRow) -> None:
        """Write a row, unless there is a later one."""
        key, revision = key_of(row.ticket, row.id), 0
        while True:
            try:
                await self._runs.put(key, msgspec.json.encode(row), revision=revision)
            except Conflict:
                there = await self._runs.get_newest(key)
                if there is None:
                    return  # it was purged a moment ago
                later = there.read(_read_row)
                if later is not None and later.pos >= row.pos:
                    return
                revision = there.revision
            else:
                self.rows += 1
                return
