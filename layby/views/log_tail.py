"""A run's log as it grows, read from the stream itself.

A message published to a log reaches subscribers before the stream has stored it, and the stream
refuses it if another writer was first. So a message received here only says that it is time to
read: each position is yielded once, in order, as the stream has it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from ..bus.connection import Connection
from ..bus.errors import BusError, NotConnected, PublishUnconfirmed
from ..bus.log import Log, LogMessage
from ..bus.log_subject import parse
from ..bus.sealing import unsealed
from ..runtime.envelope import UNREADABLE
from ..runtime.first_stored import entries
from ..runtime.streaming import EVENTS, TextDelta

_IDLE = 5.0
"""Seconds of silence after which the log is read anyway: an announcement may be lost."""
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 2.0
"""Seconds after which an announced position that is not stored counts as refused."""

_decode = msgspec.json.Decoder(TextDelta).decode


class LogTail:
    """Follows one run: the positions of its log, and the text of its models in between."""

    def __init__(
        self, connection: Connection, log: Log, run: str, caught_up: asyncio.Event | None = None
    ) -> None:
        self._connection = connection
        self._log = log
        self._run = run
        self._woken = asyncio.Event()
        self._yielded = 0
        self._announced = 0
        """The furthest position that was announced."""
        self._deltas: list[TextDelta] = []
        self._caught_up = caught_up
        """Set once everything that was stored when it began was taken."""

    async def follow(self, *, deltas: bool = True) -> AsyncGenerator[LogMessage | TextDelta]:
        """Positions from the first on, without end; deltas after the position that they follow.

        A delta that arrives after more of the log was read is still yielded: the caller
        knows which responses are complete.
        """
        nc = self._connection.nc
        subs = [await nc.subscribe(self._log.position(self._run, "*"), cb=self._on_position)]
        if deltas:
            deltas_of_run = self._log.names.subject(f"{EVENTS}.{self._run}")
            subs.append(await nc.subscribe(deltas_of_run, cb=self._on_delta))
        self._connection.on_reconnect.append(self._woken.set)
        try:
            # The server takes the subscriptions before the request that reads: nothing is missed.
            pause = _FIRST_PAUSE
            while True:
                self._woken.clear()
                async for item in self._read():
                    yield item
                if self._caught_up is not None:
                    self._caught_up.set()
                pause = await self._wait(pause)
        finally:
            self._connection.on_reconnect.remove(self._woken.set)
            for sub in subs:
                with contextlib.suppress(Exception):  # the connection may be gone
                    await sub.unsubscribe()

    async def _read(self) -> AsyncIterator[LogMessage | TextDelta]:
        only_text = self._deltas and self._yielded and self._yielded >= self._announced
        for message in [] if only_text else await self._load():
            for delta in self._ready():
                yield delta
            self._yielded = message.n
            yield message
        for delta in self._ready():
            yield delta

    async def _load(self) -> list[LogMessage]:
        try:
            return await entries(self._log, self._run, self._yielded)
        except (NotConnected, PublishUnconfirmed):
            if self._connection.nc.is_closed:
                raise
            return []  # it is read again when the connection is back

    def _ready(self) -> list[TextDelta]:
        """Deltas whose response began at or before the last yielded position."""
        ready = [delta for delta in self._deltas if delta.after <= self._yielded]
        self._deltas = [delta for delta in self._deltas if delta.after > self._yielded]
        return ready

    async def _wait(self, pause: float) -> float:
        """Wait for an announcement, or a moment if the stream lacks an announced position."""
        if self._yielded < self._announced and pause <= _LONGEST_PAUSE:
            await self._woken_within(pause)
            return pause * 2
        self._announced = self._yielded
        await self._woken_within(_IDLE)
        return _FIRST_PAUSE

    async def _woken_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _on_position(self, msg: Any) -> None:
        with contextlib.suppress(BusError):
            _, _, n = parse(msg.subject)
            if n > self._yielded:
                self._announced = max(self._announced, n)
                self._woken.set()

    async def _on_delta(self, msg: Any) -> None:
        with contextlib.suppress(*UNREADABLE, BusError):
            vault = self._log.vault
            delta = _decode(await unsealed(vault, self._run, msg.data, msg.subject))
            self._deltas.append(delta)
            self._announced = max(self._announced, delta.after)
            self._woken.set()
