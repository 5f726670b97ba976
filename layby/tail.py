"""A run's log as it grows, read from the stream itself.

What is published to a log reaches whoever listens before the stream has taken it, and the stream
refuses it when another writer was first. So what is heard here only says that it is time to read:
each position is told once, in order, as the stream has it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from .bus.connection import Connection
from .bus.errors import BusError, NotConnected, PublishUnconfirmed
from .bus.log import Log, LogMessage, parse
from .bus.sealing import unsealed
from .runtime.entry import UNREADABLE
from .runtime.past import entries
from .runtime.speech import EVENTS, TextDelta

_IDLE = 5.0
"""Seconds of silence after which the log is read anyway: a hint may have been lost."""
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 2.0
"""Seconds after which a position that was heard of, and is not there, counts as refused."""

_decode = msgspec.json.Decoder(TextDelta).decode


class Tail:
    """Follows one run: its log's positions, and what its models say in between."""

    def __init__(self, connection: Connection, log: Log, run: str) -> None:
        self._connection = connection
        self._log = log
        self._run = run
        self._woken = asyncio.Event()
        self._told = 0
        self._heard_of = 0
        """The furthest position that was heard of."""
        self._deltas: list[TextDelta] = []

    async def follow(self, *, deltas: bool = True) -> AsyncGenerator[LogMessage | TextDelta]:
        """Positions from the first on, for ever; deltas once what they follow was told.

        A delta that comes after more of the log was read is told all the same: it is for the
        caller to know which answers are complete.
        """
        nc = self._connection.nc
        subs = [await nc.subscribe(self._log.position(self._run, "*"), cb=self._on_position)]
        if deltas:
            deltas_of_run = self._log.names.subject(f"{EVENTS}.{self._run}")
            subs.append(await nc.subscribe(deltas_of_run, cb=self._on_delta))
        self._connection.on_reconnect.append(self._woken.set)
        try:
            await nc.flush(2)
            pause = _FIRST_PAUSE
            while True:
                self._woken.clear()
                async for told in self._read():
                    yield told
                pause = await self._wait(pause)
        finally:
            self._connection.on_reconnect.remove(self._woken.set)
            for sub in subs:
                with contextlib.suppress(Exception):  # the connection may be gone
                    await sub.unsubscribe()

    async def _read(self) -> AsyncIterator[LogMessage | TextDelta]:
        only_text = self._deltas and self._told and self._told >= self._heard_of
        for message in [] if only_text else await self._load():
            for delta in self._ready():
                yield delta
            self._told = message.n
            yield message
        for delta in self._ready():
            yield delta

    async def _load(self) -> list[LogMessage]:
        try:
            return await entries(self._log, self._run, self._told)
        except (NotConnected, PublishUnconfirmed):
            if self._connection.nc.is_closed:
                raise
            return []  # it is read again when the connection is back

    def _ready(self) -> list[TextDelta]:
        """Deltas whose answer began at or before what was told."""
        ready = [delta for delta in self._deltas if delta.after <= self._told]
        self._deltas = [delta for delta in self._deltas if delta.after > self._told]
        return ready

    async def _wait(self, pause: float) -> float:
        """Wait for a hint, or a moment for what was heard of and is not in the stream yet."""
        if self._told < self._heard_of and pause <= _LONGEST_PAUSE:
            await self._woken_within(pause)
            return pause * 2
        self._heard_of = self._told
        await self._woken_within(_IDLE)
        return _FIRST_PAUSE

    async def _woken_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _on_position(self, msg: Any) -> None:
        with contextlib.suppress(BusError):
            _, _, n = parse(msg.subject)
            if n > self._told:
                self._heard_of = max(self._heard_of, n)
                self._woken.set()

    async def _on_delta(self, msg: Any) -> None:
        with contextlib.suppress(*UNREADABLE, BusError):
            vault = self._log.vault
            delta = _decode(await unsealed(vault, self._run, msg.data, msg.subject))
            self._deltas.append(delta)
            self._heard_of = max(self._heard_of, delta.after)
            self._woken.set()
