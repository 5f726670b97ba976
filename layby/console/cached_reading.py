"""A reading that is kept for a while, so that many people who look cost no more than one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class CachedReading(Generic[T]):
    """Reads when somebody asks, at most once at a time and once in `seconds`."""

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._reading: asyncio.Task[T] | None = None
        self._found: T | None = None
        self._ended = 0.0

    @property
    def found(self) -> T | None:
        """What was read last; None before the first time."""
        return self._found

    def forget(self) -> None:
        """Read again the next time."""
        self._ended = -self._seconds

    async def get(self) -> T:
        """What was read less than `seconds` ago. Raises what reading raises."""
        now = asyncio.get_running_loop().time()
        if self._found is not None and self._reading is None and now < self._ended + self._seconds:
            return self._found
        if self._reading is None:
            self._reading = asyncio.create_task(self._once())
            self._reading.add_done_callback(_seen)
        # The first caller may leave; the others wait for the same reading.
        return await asyncio.shield(self._reading)

    async def _once(self) -> T:
        try:
            self._found = await self._read()
            self._ended = asyncio.get_running_loop().time()
            return self._found
        finally:
            self._reading = None


def _seen(reading: asyncio.Task[T]) -> None:
    """Everybody who waited has gone, so nobody needs what it raised."""
    if not reading.cancelled():
        reading.exception()
