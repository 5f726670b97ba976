"""What an earlier release wrote, brought into today's form: the index, and the open questions.

Until version 0.1 a row of the index lay under `<run>`, runs that waited for people had none, and
open questions were listed from the parked records. Every step here can be repeated, and may be done
by several workers at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import structlog

from ..bus.bucket import Bucket
from ..bus.errors import Conflict, InvalidTicket, PermissionDenied, StreamMissing
from ..bus.reading import every
from ..bus.requests import Requests
from ..runtime.entry import UNREADABLE
from ..runtime.index import BUCKET as RUNS
from ..runtime.index import IndexRow, key_of
from .open_questions import BUCKET as QUESTIONS
from .open_questions import OpenQuestion, decode, encode_row, question_key
from .parked import ParkedQuestion, ParkedRecord, Parking, waiting_row
from .parked import decode as decode_record

log = structlog.get_logger("layby.migration")

_MARK = "format"
"""The key that says which form rows have; no question has a key of one word."""
_FORM = b"2"
_MIGRATED = b"2, migrated"
"""The same, of an index in which rows were rewritten: older runs may have newer rows."""
_AT_ONCE = 64


async def is_current(requests: Requests, before: str) -> bool:
    """Whether the rows have today's form, or `before`, the bucket of the earlier ones, is empty.

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
        return True  # a person who may see the open questions and nothing else


async def is_in_order(requests: Requests) -> bool:
    """Whether rows lie in the order in which their runs changed: none was ever migrated."""
    mark = await Bucket(requests, QUESTIONS).get(_MARK)
    return mark is not None and mark.value == _FORM


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
        self._parking = Parking(Bucket(requests, "parked"), 0.0)
        self.rows = 0
        """Rows that were written."""

    async def run(self) -> int:
        """Migrate everything that is left to migrate; return how many rows were written."""
        await self._old_rows()
        if await self._questions.get(_MARK) is None:
            await self._asked()
            await self._questions.put(_MARK, _FORM)
        if self.rows:
            await self._questions.put(_MARK, _MIGRATED)
            log.info("index.migrated", rows=self.rows)
        return self.rows

    async def repeat(self) -> int:
        """Like `run`, with all questions again: a worker of the earlier release was up."""
        await self._asked()
        async for item in self._questions.items():
            if item.key != _MARK:
                row = item.read(decode)
                if row is not None:
                    await self._check(item.key, row)
        return await self.run()

    async def _check(self, key: str, row: OpenQuestion) -> None:
        """Remove the row of a question that a worker of the earlier release has closed."""
        record, _ = await self._parking.get_newest(row.ticket)
        known = {each.id: each.status for each in record.questions} if record else {}
        if known.get(row.question.id) != "open":
            await self._questions.forget(key)

    async def _old_rows(self) -> None:
        names = self._requests.names
        stream, subject = names.bucket_stream(RUNS), names.keys(RUNS, "*")
        page: list[bytes] = []
        async for message in every(self._requests, stream, subject):
            if message.data:
                page.append(message.data)
            if len(page) >= _AT_ONCE:
                await asyncio.gather(*map(self._old_row, page))
                page = []
        await asyncio.gather(*map(self._old_row, page))

    async def _old_row(self, data: bytes) -> None:
        try:
            row = msgspec.json.decode(data, type=IndexRow)
            key_of(row.ticket, row.id)
        except (*UNREADABLE, InvalidTicket):
            return  # no row of Layby's: whoever wrote it must not stop a worker
        await self._write(row)
        await self._runs.forget(row.id)

    async def _asked(self) -> None:
        async for item in self._parked_records():
            for question in item.questions:
                if question.status == "open":
                    await self._question(item.ticket, question)

    async def _parked_records(self) -> AsyncGenerator[ParkedRecord]:
        async for item in Bucket(self._requests, "parked").items():
            record = item.read(decode_record)
            if record is not None:
                yield record

    async def _question(self, ticket: str, question: ParkedQuestion) -> None:
        row = OpenQuestion(ticket=ticket, question=question)
        key = question_key(question.role, ticket, question.id)
        try:
            await self._questions.put(key, encode_row(row), revision=0)
        except Conflict:
            return
        self.rows += 1
        record, _ = await self._parking.get_newest(ticket)
        if record is None or question not in record.questions:  # closed meanwhile
            await self._questions.forget(key)
            return
        await self._write(waiting_row(ticket, question))

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
