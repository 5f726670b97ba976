"""Who is told when a rung is reached: found out then, from the rota."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .rota import OnDuty, Window, on_duty, standing_in
from .rota_book import RotaBook

_FRESH = 1.0
"""Seconds for which what was read counts: thousands of rungs due at once read it once."""

_Read = Callable[[], Awaitable[tuple[Window, ...]]]


class Duties:
    """Finds out who is on duty."""

    def __init__(self, book: RotaBook) -> None:
        self._book = book
        self._reads: dict[str, tuple[float, asyncio.Future[tuple[Window, ...]]]] = {}

    async def of_rota(self, rota: str, at: float) -> OnDuty:
        """Who is on duty by a rota at a time; without a rota, everybody with the role."""
        if not rota:
            return OnDuty()
        shifts = await self._read(f"duty.{rota}", lambda: self._book.shifts(rota))
        return on_duty(shifts, await self._absences(), at)

    async def of_person(self, person: str, rota: str, at: float) -> OnDuty:
        """The person or, if the role that is asked has a rota, who stands in for them."""
        if not rota:
            return OnDuty((person,))
        return standing_in([person], await self._absences(), at)

    async def _absences(self) -> tuple[Window, ...]:
        return await self._read("absences", self._book.absences)

    async def _read(self, key: str, read: _Read) -> tuple[Window, ...]:
        loop = asyncio.get_running_loop()
        until, reading = self._reads.get(key, (0.0, None))
        failed = reading is not None and reading.done() and reading.exception() is not None
        if reading is None or failed or until < loop.time():
            reading = asyncio.ensure_future(read())
            self._reads[key] = (loop.time() + _FRESH, reading)
        return await asyncio.shield(reading)
