"""When a channel may be called that has asked for time: after its rest once, then more often.

Each caller waits for a turn, and the oldest message has the first one. A channel that
takes one card a second so gets about one a second from each worker, however many wait: those that
have no turn stay with the worker, or in their mailbox, and are not handed back and forth.

It is kept in memory. Another worker finds out by itself that the channel wants time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

_MOST: Final = 64
"""Turns at a time on a channel that is well: as many as a mailbox handles."""


class Pace:
    """Gives out the turns on one channel."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rests_until = 0.0
        self._room = _MOST
        """How many may have a turn at once. A rest makes it one, and each other call doubles it."""
        self._taken = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        """A heap. The second number only tells equals apart; who has given up is cancelled."""
        self._numbers = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None
        self._rested_at = 0.0
        self._succeeded_at = self._loop.time()

    @property
    def now(self) -> float:
        """The time, by the clock that `began` of a call is on."""
        return self._loop.time()

    @property
    def rest(self) -> float:
        """Seconds for which the channel still rests."""
        return max(0.0, self._rests_until - self._loop.time())

    @property
    def stuck_for(self) -> float:
        """Seconds since a call succeeded, or since this process began if none has."""
        return self._loop.time() - self._succeeded_at

    def asked_for(self, seconds: float) -> None:
        """Let the channel rest: it has asked for that."""
        self._rested_at = self._loop.time()
        until = self._rested_at + seconds
        self._rests_until = max(self._rests_until, until)
        self._room = 1

    def succeeded(self, began: float) -> None:
        """Allow more calls at once: the channel takes them."""
        self._succeeded_at = self._loop.time()
        self.widen(began)

    def widen(self, began: float) -> None:
        """Allow more calls at once, after one that began at `began`, and was not told to wait.

        After a failure too: else each card waits for the calls of all older ones, until one works.
        What began before the channel asked for time says nothing.
        """
        if began < self._rested_at:
            return
        self._room = min(2 * self._room, _MOST)
        self._hand_out()

    @asynccontextmanager
    async def turn(self, seq: int, patience: float) -> AsyncGenerator[bool]:
        """Wait up to `patience` seconds for a turn, which ends with the block; False: none came.

        `seq`: the place of the message in its stream.
        """
        if granted := await self._granted(seq, patience):
            try:
                yield granted
            finally:
                self._taken -= 1
                self._hand_out()
        else:
            yield False

    async def _granted(self, seq: int, patience: float) -> bool:
        turn: asyncio.Future[None] = self._loop.create_future()
        heapq.heappush(self._waiting, (seq, next(self._numbers), turn))
        self._hand_out()
        try:
            await asyncio.wait({turn}, timeout=patience)
        except asyncio.CancelledError:
            if not turn.cancel():
                self._taken -= 1
                self._hand_out()
            raise
        return not turn.cancel()

    def _hand_out(self) -> None:
        """Give turns to those with the oldest messages, as far as there is room."""
        while self._waiting and self._waiting[0][-1].cancelled():
            heapq.heappop(self._waiting)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting and (rest := self.rest) > 0.0:
            self._alarm = self._loop.call_later(rest, self._hand_out)
            return
        while self._waiting and self._taken < self._room:
            turn = heapq.heappop(self._waiting)[-1]
            if not turn.cancelled():
                self._taken += 1
                turn.set_result(None)
