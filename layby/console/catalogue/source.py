"""Follows one stream by its sequence: what is stored already, then what is stored from now on.

A core subscription to the stream's subjects is only a hint that there is more to read. What counts
is read from the stream, so nothing is missed or read twice, even after an outage.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from ...bus.connection import Connection
from ...bus.errors import BusError
from ...bus.reading import every, sequence
from ...bus.requests import Requests
from ...bus.wire import Message

log = structlog.get_logger("layby.console")

_PAGE: Final = 512
_BYTES: Final = 1024 * 1024
"""Limits of what is written together: messages, and their bytes without the last of them."""
_SETTLE: Final = (0.0, 0.02, 0.05, 0.1, 0.5)
"""Seconds between the reads after a hint: a message may be announced before it can be read."""
_TOGETHER: Final = 0.005
"""Seconds in which more hints come, which are then read together."""
_OUTAGE: Final = 1.0
_ABSENT: Final = 10.0
_ABSENT_LONG: Final = 320.0
"""Seconds after which a stream that does not exist is looked for again: the first time, and later.
A hint comes once something is written to it, so this is for streams that cannot be heard."""
_MISSING: Final = frozenset({10059, 503})
"""Codes for a stream that does not exist."""

Take = Callable[[list[Message]], Awaitable[None]]
"""Takes messages in the order of the stream."""


class Source:
    """One stream that the catalogue follows."""

    def __init__(
        self,
        connection: Connection,
        requests: Requests,
        stream: str,
        hints: list[str],
        *,
        take: Take,
        restart: Callable[[], Awaitable[None]],
        newest: int | None = None,
        keep_only: Callable[[set[str]], Awaitable[None]] | None = None,
    ) -> None:
        """Follow `stream`.

        Args:
            connection: For the hints.
            requests: Reads the stream.
            stream: Its name on the server.
            hints: Subjects on which something is published when it grows; empty: those that the
                stream itself names, because a login may not subscribe to wider ones.
            take: Called with what was read.
            restart: Called when the stream is not the one that was read before.
            newest: Read only so many of its newest messages; None: all.
            keep_only: Called after an outage with the last words of the subjects that still have a
                value: the marker of a removed key does not last. None: nothing is ever removed.
        """
        self._connection = connection
        self._requests = requests
        self._stream = stream
        self._hints = hints
        self._hinted: dict[str, Any] = {}
        """The subscriptions, by subject."""
        self._take = take
        self._restart = restart
        self._newest = newest
        self._keep_only = keep_only
        self._missed_removals = False
        """Whether something may have been removed unnoticed, during an outage."""
        self._woken = asyncio.Event()
        self._born: str | None = None
        self._last = 0
        self._absent = _ABSENT
        self.done = 0
        """Messages read so far."""
        self.total = 0
        """Messages that there were when it began to read."""
        self.live = asyncio.Event()
        """Set while everything that was stored has been read."""
        self.problem = ""

    async def keep(self) -> None:
        """Read until cancelled."""
        await self._listen(self._hints)
        self._connection.on_reconnect.append(self._reconnected)
        try:
            while True:
                await self._is_woken(await self._read_on())
                await asyncio.sleep(_TOGETHER)
        finally:
            self._connection.on_reconnect.remove(self._reconnected)
            for subscription in self._hinted.values():
                with contextlib.suppress(Exception):  # the connection may be gone
                    await subscription.unsubscribe()

    async def _is_woken(self, within: float | None) -> bool:
        """Whether a hint comes within so many seconds; None: wait for one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):  # `wait_for` may lose a cancellation
                await self._woken.wait()
        return self._woken.is_set()

    def look(self) -> None:
        """Read on: something that was stored elsewhere says that there may be more."""
        self._woken.set()

    async def _listen(self, subjects: list[str]) -> None:
        async def hint(_: Any) -> None:
            self._woken.set()

        nc = self._connection.nc
        for subject in subjects:
            if subject not in self._hinted:
                self._hinted[subject] = await nc.subscribe(subject, cb=hint)

    def _reconnected(self) -> None:
        """Hints may have been missed, and the stream may be another one."""
        self.live.clear()
        self._missed_removals = True
        self._woken.set()

    async def _read_on(self) -> float | None:
        """Read all there is; return the seconds after which to look again even without a hint."""
        try:
            await self._check_identity()
            for pause in _SETTLE:
                if pause and await self._is_woken(pause):
                    break
                self._woken.clear()
                await self._read()
            else:  # a hint that led to nothing may come from another stream of that name
                await self._check_identity(again=True)
            await self._drop_removed()
        except BusError as error:
            self.live.clear()
            self._woken.clear()
            if error.code in _MISSING:
                self.problem = ""
                absent, self._absent = self._absent, min(2 * self._absent, _ABSENT_LONG)
                return absent
            self.problem = str(error)
            log.info("console.source_interrupted", stream=self._stream, error=str(error))
            return _OUTAGE
        self.problem, self._absent = "", _ABSENT
        return None

    async def _check_identity(self, *, again: bool = False) -> None:
        """Start over if somebody has created the stream anew. Raises BusError."""
        if self.live.is_set() and self._born is not None and not again:
            return
        info = await self._requests.api(f"STREAM.INFO.{self._stream}")
        born, state = str(info["created"]), info["state"]
        if not self._hints:
            await self._listen(info["config"].get("subjects", []))
        if born != self._born or state["last_seq"] < self._last:
            if self._born is not None:
                await self._restart()
            self._born, self._last, self.done = born, 0, 0
            if self._newest is not None:
                self._last = max(0, state["last_seq"] - self._newest)
            if again:
                self._woken.set()
        self.total = self.done + min(state["messages"], max(0, state["last_seq"] - self._last))

    async def _drop_removed(self) -> None:
        """After an outage: forget what was removed meanwhile. Raises BusError."""
        if not self._missed_removals or self._keep_only is None:
            return
        kept: set[str] = set()
        messages = every(self._requests, self._stream, ">", _PAGE)
        async with contextlib.aclosing(messages):
            async for message in messages:  # to the end: a key that is written again moves there
                if message.data:
                    kept.add(message.headers["Nats-Subject"].rpartition(".")[2])
        await self._keep_only(kept)
        self._missed_removals = False

    async def _read(self) -> None:
        """Read to the end; a page is written while the next one is on its way."""
        batch: list[Message] = []
        size = 0
        writing: asyncio.Task[None] | None = None
        messages = every(self._requests, self._stream, ">", _PAGE, first=self._last + 1)
        try:
            async with contextlib.aclosing(messages):
                async for message in messages:
                    batch.append(message)
                    size += len(message.data)
                    if len(batch) >= _PAGE or size >= _BYTES:
                        if writing is not None:
                            await writing
                        writing = asyncio.create_task(self._flush(batch))
                        batch, size = [], 0
        finally:
            if writing is not None:
                await writing
        await self._flush(batch)
        self.total = max(self.total, self.done)
        self.live.set()

    async def _flush(self, batch: list[Message]) -> None:
        if batch:
            await self._take_or_skip(batch)
            self.done += len(batch)
            self._last = sequence(batch[-1])

    async def _take_or_skip(self, batch: list[Message]) -> None:
        """Take messages; one that cannot be taken does not keep the others away."""
        try:
            await self._take(batch)
        except BusError:
            raise
        except Exception:
            if len(batch) == 1:
                log.exception("console.message_skipped", seq=sequence(batch[0]))
                return
            middle = len(batch) // 2
            await self._take_or_skip(batch[:middle])
            await self._take_or_skip(batch[middle:])
