"""What has changed lately, by number, so that a reader can come back and miss nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from typing import Final

from ..catalogue.catalogue import Catalogue
from ..catalogue.entries import Change

_KEPT: Final = 20_000
"""Runs and questions whose last change is known."""


class ChangeLog:
    """The last change of each run and question; it begins with its first reader."""

    def __init__(self, catalogue: Catalogue, stopping: asyncio.Event) -> None:
        self._catalogue = catalogue
        self._stopping = stopping
        self._begun = secrets.token_hex(4)
        """Tells the numbers of this console from those of another."""
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()
        """By kind and id, in the order of their numbers."""
        self._seq = 0
        self._floor = 0
        """Changes up to here may be forgotten."""
        self._changed = asyncio.Event()
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Return once it listens to the catalogue; from then on it misses nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep())
        await self._listening.wait()

    @property
    def now(self) -> int:
        """The number of the last change."""
        return self._seq

    def number(self, seq: int) -> str:
        """A number as readers see it."""
        return f"{self._begun}-{seq}"

    def place(self, number: str) -> int | None:
        """The place that a reader's number means; None if it is not known what changed since."""
        begun, _, seq = number.partition("-")
        if begun != self._begun or not (seq.isascii() and seq.isdecimal() and len(seq) < 16):  # noqa: PLR2004
            return None
        return int(seq) if self._floor <= int(seq) <= self._seq else None

    def since(self, place: int) -> list[Change] | None:
        """The last change of everything that changed since, oldest first; None: unknown."""
        if place < self._floor:
            return None
        found: list[Change] = []
        for (kind, id_), seq in reversed(self._last.items()):
            if seq <= place:
                break
            found.append(Change(kind=kind, id=id_, seq=seq))  # type: ignore[arg-type]
        return found[::-1]

    async def changed(self, place: int) -> None:
        """Wait until there is a change after this place."""
        while self._seq <= place:
            await self._changed.wait()

    async def _keep(self) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        listening = asyncio.create_task(self._listen())
        await asyncio.wait({stopped, listening}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, listening):
            task.cancel()
        await asyncio.wait({listening})
        if not listening.cancelled():
            listening.result()

    async def _listen(self) -> None:
        async with self._catalogue.changes() as batches:
            self._listening.set()
            async for batch in batches:
                for change in batch:
                    self._take(change)
                self._changed.set()
                self._changed = asyncio.Event()

    def _take(self, change: Change) -> None:
        self._seq += 1
        if change.kind == "progress":  # anything may have changed
            self._last.clear()
            self._floor = self._seq
            return
        key = (change.kind, change.id)
        self._last[key] = self._seq
        self._last.move_to_end(key)
        if len(self._last) > _KEPT:
            _, self._floor = self._last.popitem(last=False)
