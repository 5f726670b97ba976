"""Removes runs that ended long ago."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec

from .bus.bucket import Bucket
from .bus.log import Log
from .bus.reading import every
from .bus.requests import Requests
from .listing import Progress, demand_current
from .rows import Purged
from .runtime.index import BUCKET, IndexRow, key_of
from .runtime.state import UNENDED
from .runtime.times import iso

_AT_ONCE = 64

_decode_row = msgspec.json.Decoder(IndexRow).decode


class Purge:
    """Removes ended runs, many at a time."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._log = Log(requests)
        self._index = Bucket(requests, BUCKET)
        self._messages = 0

    async def run(self, older_than: float, progress: Progress | None = None) -> Purged:
        """Remove the runs that ended more than `older_than` seconds ago."""
        await demand_current(self._requests)
        runs = 0
        page: list[IndexRow] = []
        async for row in self._ended(iso(time.time() - older_than)):
            page.append(row)
            if len(page) >= _AT_ONCE:
                runs += await self._remove(page)
                page = []
                if progress is not None:
                    progress(runs)
        runs += await self._remove(page)
        return Purged(runs=runs, messages=self._messages)

    async def _ended(self, before: str) -> AsyncIterator[IndexRow]:
        names = self._requests.names
        stream, rows = names.bucket_stream(BUCKET), names.keys(BUCKET, "*.*")
        async for message in every(self._requests, stream, rows):
            if message.data:
                row = _decode_row(message.data)
                if row.status not in UNENDED and row.updated_at < before:
                    yield row

    async def _remove(self, rows: list[IndexRow]) -> int:
        await asyncio.gather(*map(self._remove_one, rows))
        return len(rows)

    async def _remove_one(self, row: IndexRow) -> None:
        purged = await self._log.purge(row.id)
        self._messages += purged
        await self._index.forget(key_of(row.ticket, row.id))
