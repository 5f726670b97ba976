"""A reading that many people ask for is made once."""

from __future__ import annotations

import asyncio

import pytest

from layby.bus.errors import NotConnected
from layby.console.cached_reading import CachedReading


class Well:
    """Something to read, which can be made to wait or to fail."""

    def __init__(self) -> None:
        self.times = 0
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def read(self) -> int:
        self.times += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return self.times


async def test_what_was_read_a_moment_ago_is_not_read_again() -> None:
    well = Well()
    kept = CachedReading(well.read, 60)
    assert kept.found is None
    assert [await kept.get(), await kept.get()] == [1, 1]
    assert kept.found == 1


async def test_what_is_older_is_read_again() -> None:
    well = Well()
    kept = CachedReading(well.read, 0)
    assert [await kept.get(), await kept.get()] == [1, 2]


async def test_what_was_forgotten_is_read_again() -> None:
    well = Well()
    kept = CachedReading(well.read, 60)
    await kept.get()
    kept.forget()
    assert kept.found == 1, "what is shown meanwhile"
    assert await kept.get() == 2


async def test_all_who_ask_at_once_share_one_reading() -> None:
    well = Well()
    well.open.clear()
    kept = CachedReading(well.read, 60)
    asking = [asyncio.create_task(kept.get()) for _ in range(5)]
    await asyncio.sleep(0)
    well.open.set()
    assert await asyncio.gather(*asking) == [1] * 5


async def test_a_reading_goes_on_when_the_first_who_asked_leaves() -> None:
    well = Well()
    well.open.clear()
    kept = CachedReading(well.read, 60)
    first = asyncio.create_task(kept.get())
    await asyncio.sleep(0)
    second = asyncio.create_task(kept.get())
    await asyncio.sleep(0)
    first.cancel()
    well.open.set()
    assert await second == 1


async def test_an_error_is_raised_and_not_kept() -> None:
    well = Well()
    well.error = NotConnected("lost")
    kept = CachedReading(well.read, 60)
    with pytest.raises(NotConnected):
        await kept.get()
    well.error = None
    assert await kept.get() == 2
