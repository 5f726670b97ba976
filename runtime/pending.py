"""Records that a body has made and its log does not hold yet, appended one message at a time.

The body does not wait for the append of a record: it happens before the next effect, or soon after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from ..bus.errors import BusError, PayloadTooLarge
from ..bus.log_subject import NOBODY
from . import crash
from .entry import Record, Started
from .errors import Fenced, Interrupted
from .strand import Position, strand
from .writer import new_op

_SLOW = 1.0
"""Seconds after which an append was so slow that another worker may have received the mail."""
_VISIBLE_WITHIN = 0.005
"""Seconds after which a record is appended even if nothing waits for it; at most twice that."""


class Sink(Protocol):
    """Where the records go: the log of the run."""

    async def append(self, records: list[Record], *, to: str, op: str) -> int:
        """Append records as one message to actor `to`; its position.

        Raises:
            Fenced: another worker has moved the run on.
            PayloadTooLarge: the server takes nothing of that size.
            BusError: NATS does not take it.
        """
        ...

    async def catch_up(self) -> None:
        """Read what others have appended. Raises BusError."""
        ...

    def append_failed(self, error: BaseException) -> None:
        """Called when an append fails that nobody in the body waits for."""
        ...


class _Batch:
    """Records that are appended as one message."""

    __slots__ = ("op", "records", "to")

    def __init__(self, records: list[tuple[Record, Position]], to: str) -> None:
        self.records = records
        self.to = to
        self.op = new_op()

    def halves(self) -> list[_Batch]:
        """The same records in two messages."""
        middle = len(self.records) // 2
        return [_Batch(self.records[:middle], NOBODY), _Batch(self.records[middle:], self.to)]


class FlushTimer:
    """Flushes records that have waited for a moment; one timer serves all bodies."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fresh: list[PendingRecords] = []
        self._due: list[PendingRecords] = []
        self._armed = False

    def add(self, pending: PendingRecords) -> None:
        """Flush `pending` soon."""
        self._fresh.append(pending)
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        self._loop.call_later(_VISIBLE_WITHIN, self._sweep)

    def _sweep(self) -> None:
        due, self._due, self._fresh = self._due, self._fresh, []
        for pending in due:
            pending.flush_soon()
        self._armed = False
        if self._due:
            self._arm()


class PendingRecords:
    """The records of one body that its log does not hold yet."""

    def __init__(self, sink: Sink, timer: FlushTimer) -> None:
        self._sink = sink
        self._timer = timer
        self.appended = 0
        """Messages that were appended; the caller resets it."""
        self._buffer: list[tuple[Record, Position]] = []
        self._timed = False
        self._queue: list[_Batch] = []
        """Messages to append, in order; the first is being appended."""
        self._lock = asyncio.Lock()
        self._failed: Fenced | Interrupted | PayloadTooLarge | None = None
        """Why the first message was not appended; the ones behind it will not be either."""
        self._background: set[asyncio.Task[None]] = set()
        """Appends that nobody in the body waits for."""
        self._over = False
        self._loop = asyncio.get_running_loop()

    @property
    def only_opening(self) -> bool:
        """Whether the only record not queued yet is the one that begins the run."""
        return len(self._buffer) == 1 and isinstance(self._buffer[0][0], Started)

    def add(self, record: Record) -> None:
        """Add a record, to be appended soon."""
        self._put(record)
        if not self._timed:
            self._timed = True
            self._timer.add(self)

    def _put(self, record: Record) -> None:
        position = Position()
        strand.get().own = position
        self._buffer.append((record, position))

    def enqueue(self, to: str = NOBODY) -> bool:
        """Queue what is recorded as one message; whether there was anything."""
        if not self._buffer:
            return False
        self._queue.append(_Batch(self._buffer, to))
        self._buffer = []
        return True

    async def flush(self, *, to: str = NOBODY, mail: Record | None = None) -> None:
        """Append what is recorded as one message, with `mail` last and addressed to actor `to`.

        It becomes several messages if one would be larger than the server takes.

        Raises:
            Fenced: another worker has moved the run on.
            Interrupted: NATS does not take it.
            PayloadTooLarge: a single record is larger than the server takes.
        """
        if mail is not None:
            self._put(mail)
        if self.enqueue(to):
            await self.drain()

    def flush_soon(self) -> None:
        """Append what is recorded, if anything, in the background."""
        self._timed = False
        if self._buffer and not self._over:
            self._spawn(self.flush())

    async def drain(self) -> None:
        """Append everything queued, by whichever branch. Raises what `flush` does."""
        try:
            async with self._lock:
                while self._queue and self._failed is None:
                    await self._append(self._queue[0])
        except asyncio.CancelledError:
            if self._queue and not self._over:  # it may hold records of branches that continue
                self._spawn(self.drain())
            raise
        except (Fenced, PayloadTooLarge) as error:
            self._failed = error
        except BusError as error:
            self._failed = Interrupted(str(error))
            self._failed.__cause__ = error
        if self._failed is not None:
            raise self._failed

    async def _append(self, batch: _Batch) -> None:
        crash.point("before_append")
        began = self._loop.time()
        records = [record for record, _ in batch.records]
        try:
            n = await self._sink.append(records, to=batch.to, op=batch.op)
        except PayloadTooLarge:
            if len(records) == 1:
                raise
            self._queue[:1] = batch.halves()
            return
        crash.point("after_append")
        del self._queue[0]
        self.appended += 1
        for _, position in batch.records:
            position.n = n
        if self._loop.time() - began > _SLOW:
            await self._sink.catch_up()  # this worker may have been taken for dead

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_done)

    def _background_done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._sink.append_failed(error)

    def abandon(self) -> None:
        """Cancel the appends in progress: the next handler of the mail reads what was stored."""
        self._over = True
        for task in self._background:
            task.cancel()
