"""A reader of the changes that comes back misses nothing, or is told that it may have."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from layby.console.api.change_log import ChangeLog
from layby.console.catalogue.catalogue import Catalogue
from layby.console.catalogue.entries import Change
from layby.console.catalogue.feed import Feed

WITHIN = 10.0


def runs(*ids: str) -> list[Change]:
    return [Change(kind="run", id=each) for each in ids]


class Log:
    """A log of changes over a feed."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.stopping = asyncio.Event()
        self.log = ChangeLog(cast("Catalogue", self), self.stopping)

    def changes(self) -> Any:
        return self.feed.listen()

    async def tell(self, *changes: Change) -> None:
        """Tell, and wait until the log has it."""
        before = self.log.now
        self.feed.tell(list(changes))
        async with asyncio.timeout(WITHIN):
            await self.log.changed(before)

    def since(self, place: int) -> list[str] | None:
        found = self.log.since(place)
        return None if found is None else [change.id for change in found]


@contextlib.asynccontextmanager
async def logged() -> AsyncGenerator[Log]:
    made = Log()
    await made.log.listen()
    try:
        yield made
    finally:
        made.stopping.set()
        assert made.log._task is not None
        await made.log._task


async def test_a_returning_reader_gets_the_last_change_of_each_thing() -> None:
    async with logged() as it:
        await it.tell(*runs("a", "b"))
        place = it.log.place(it.log.number(it.log.now))
        assert place == 2
        assert it.since(place) == []
        await it.tell(*runs("c"))
        await it.tell(*runs("a"))
        await it.tell(*runs("c"))
        assert it.since(place) == ["a", "c"]
        assert it.since(0) == ["b", "a", "c"]


async def test_after_progress_nobody_knows_what_was_missed() -> None:
    async with logged() as it:
        await it.tell(*runs("a"))
        await it.tell(Change(kind="progress"))
        assert it.since(1) is None
        assert it.log.place(it.log.number(1)) is None
        assert it.since(it.log.now) == []


@pytest.mark.parametrize("number", ["", "1", "x-1", "-1", "{}-", "{}-x", "{}--1", "{}-9", "{}-1٣"])
async def test_a_number_of_another_console_or_of_none_means_no_place(number: str) -> None:
    async with logged() as it:
        await it.tell(*runs("a", "b"))
        begun = it.log.number(0).partition("-")[0]
        assert it.log.place(number.replace("{}", begun)) is None
        assert it.log.place(f"{begun}-1") == 1


async def test_what_changed_long_ago_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layby.console.api.change_log._KEPT", 2)
    async with logged() as it:
        await it.tell(*runs("a", "b", "c"))
        assert it.since(0) is None
        assert it.since(1) == ["b", "c"]


async def test_it_ends_with_the_console_even_if_nobody_listens() -> None:
    async with logged() as it:
        it.stopping.set()
        assert it.log._task is not None
        async with asyncio.timeout(WITHIN):
            await it.log._task
