"""The drivers of the workloads, the same for everybody who is measured. Standard library only.

Peers import this in environments of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from .measure import spread

WITHIN = 60.0
"""Seconds that anything may take."""
PAUSE = 0.02
"""Seconds between parked and answered, in the variant with a pause."""


class Desk(Protocol):
    """Somebody who runs tickets durably."""

    async def open(self, ticket: str) -> None:
        """Open a ticket; return when that is durable."""

    async def parked(self, ticket: str) -> None:
        """Wait until its question is asked."""

    async def answer(self, ticket: str) -> None:
        """Answer it; return when that is durable."""

    async def ended(self, ticket: str) -> None:
        """Wait until its run is completed, as the caller sees it."""


class Board:
    """What has happened to which ticket, and who waits for it."""

    def __init__(self) -> None:
        self._tickets: dict[str, asyncio.Future[None]] = {}

    def note(self, ticket: str) -> None:
        """It has happened."""
        future = self._future(ticket)
        if not future.done():
            future.set_result(None)

    async def come(self, ticket: str) -> None:
        """Wait until it has happened; then it is forgotten."""
        async with asyncio.timeout(WITHIN):
            await self._future(ticket)
        del self._tickets[ticket]

    def _future(self, ticket: str) -> asyncio.Future[None]:
        future = self._tickets.get(ticket)
        if future is None:
            future = self._tickets[ticket] = asyncio.get_running_loop().create_future()
        return future


async def latency(desk: Desk, runs: int, prefix: str = "L", pause: float = 0.0) -> dict[str, float]:
    """One ticket after another, each answered `pause` seconds after it parked; milliseconds."""
    park: list[float] = []
    finish: list[float] = []
    for number in range(runs):
        ticket = f"{prefix}{number}"
        began = time.perf_counter()
        await desk.open(ticket)
        await desk.parked(ticket)
        park.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(pause)
        began = time.perf_counter()
        answered = asyncio.ensure_future(desk.answer(ticket))
        await desk.ended(ticket)
        finish.append((time.perf_counter() - began) * 1e3)
        await answered
    return {
        **{f"start -> parked {name}": value for name, value in spread(park).items()},
        **{f"answer -> completed {name}": value for name, value in spread(finish).items()},
    }


async def both_latencies(desk: Desk, runs: int) -> dict[str, float]:
    """Answered at once, and after a pause in which cores fall asleep and trailing work is done."""
    found = await latency(desk, runs, prefix="L")
    rested = await latency(desk, runs, prefix="R", pause=PAUSE)
    return found | {
        f"{name}, after a pause": value for name, value in rested.items() if "answer" in name
    }


async def throughput(
    desk: Desk, runs: int, at_once: int = 64, prefix: str = "B"
) -> dict[str, float]:
    """Park all, then answer all, `at_once` in flight; runs a second."""
    tickets = [f"{prefix}{number}" for number in range(runs)]

    async def park(ticket: str) -> None:
        await desk.open(ticket)
        await desk.parked(ticket)

    async def finish(ticket: str) -> None:
        await desk.answer(ticket)
        await desk.ended(ticket)

    parking = await each(tickets, park, at_once)
    finishing = await each(tickets, finish, at_once)
    return {
        "park": runs / parking,
        "resume": runs / finishing,
        "overall": runs / (parking + finishing),
    }


async def each(
    tickets: Iterable[str], work: Callable[[str], Awaitable[None]], at_once: int
) -> float:
    """Do `work` for each ticket, `at_once` at a time; return the seconds that it took."""
    left = iter(list(tickets))

    async def one_after_another() -> None:
        for ticket in left:
            await work(ticket)

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return time.perf_counter() - began
