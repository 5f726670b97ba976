"""Tells all listeners what has changed, in batches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import msgspec

from ..spacing import Spacing
from .entries import Change

_MOST: Final = 10_000
"""Changes that wait for one listener; a slower one is told that everything may have changed."""
_SPACED: Final = 0.1
"""Seconds between two batches for one listener, in the long run: what changes meanwhile comes in
one."""


class Feed:
    """Changes and their listeners; a slow one keeps nobody waiting."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()
        self.seq = 0
        """How many changes there have been."""

    def tell(self, changes: list[Change]) -> None:
        """Tell all listeners."""
        numbered: list[Change] = []
        for change in changes:
            self.seq += 1
            numbered.append(msgspec.structs.replace(change, seq=self.seq))
        for listener in self._listeners:
            listener.take(numbered)

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncGenerator[AsyncIterator[list[Change]]]:
        """Batches of changes from now on, the newest of each thing only."""
        listener = _Listener()
        self._listeners.add(listener)
        batches = listener.batches()
        try:
            yield batches
        finally:
            self._listeners.discard(listener)
            await batches.aclose()


class _Listener:
    """The changes that wait for one listener."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Change] = {}
        self._woken = asyncio.Event()

    def take(self, changes: list[Change]) -> None:
        for change in changes:
            self._waiting[change.kind, change.id] = change
        if len(self._waiting) > _MOST:
            self._waiting = {("progress", ""): Change(kind="progress", seq=changes[-1].seq)}
        self._woken.set()

    async def batches(self) -> AsyncGenerator[list[Change]]:
        spacing = Spacing(_SPACED)
        while True:
            await self._woken.wait()
            self._woken.clear()
            waiting, self._waiting = self._waiting, {}
            if waiting:
                yield list(waiting.values())
                await spacing.wait()
