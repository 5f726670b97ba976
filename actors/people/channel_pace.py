"""When a channel may be called: not while it rests, and by few callers while it fails.

Each caller waits for a turn, and the oldest message has the first one. So a channel that takes one
card a second gets about one a second from each worker, however many wait: those that have no
turn stay with the worker, or in their mailbox, and are not handed back and forth.

A channel that fails one card after another is tried by a few at a time, with pauses that are a
quarter of the time for which it has failed. So more waiting cards do not mean more calls, and it
is soon noticed when the channel works again: then all have their turn.

It is kept in memory. Another worker finds out by itself what the channel wants.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from ...bus.bounded import Bounded

SHARE: Final = 4.0
"""A pause is at most the time since the first failure, divided by this."""
SOONEST: Final = 1.0
"""Seconds after which what has failed is tried again, at the earliest."""
_LATEST: Final = 15.0
"""Seconds between two attempts to call a channel that fails, at most."""
_MOST: Final = 64
"""Turns at a time on a channel that works: as many as a mailbox handles."""
_PROBES: Final = 8
"""Turns at a time on a channel that fails."""
_CARDS: Final = 4
"""Messages that fail in a row before the channel itself is taken to fail."""
_STALE: Final = 60.0
"""Seconds after which a failure says nothing about the next one: more than a call and a pause."""
_REMEMBERED: Final = 5_000
"""As many as a mailbox delivers before they are acknowledged."""


class _Waiting(NamedTuple):
    seq: int
    number: int
    """It only tells equals apart."""
    turn: asyncio.Future[None]
    """Cancelled when its caller stops waiting."""


class Pace:
    """Gives out the turns on one channel."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rests_until = 0.0
        """Until when it is not called because it has asked for a rest."""
        self._fails_until = 0.0
        """Until when it is not called because it fails."""
        self._room = _MOST
        """How many may have a turn at once. A rest makes it one, and each other call doubles it."""
        self._taken = 0
        self._waiting = set[_Waiting]()
        self._numbers = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None
        self._rested_at = 0.0
        """When it asked for a rest, or last failed after a pause."""
        self._succeeded_at = self._loop.time()
        self._failures: Bounded[int, int] = Bounded(_REMEMBERED)
        """How often each message has failed since any call succeeded."""
        self._fails_since = 0.0
        self._failed_at = 0.0

    @property
    def now(self) -> float:
        """The time, by the same clock as `began` of a call."""
        return self._loop.time()

    @property
    def rest(self) -> float:
        """Seconds for which the channel is not called: it rests, or fails."""
        return max(0.0, max(self._rests_until, self._fails_until) - self._loop.time())

    @property
    def fails(self) -> bool:
        """Whether one message after another has failed."""
        return len(self._failures) >= _CARDS

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
        """Allow more calls at once: the channel takes them. `began`: when the call began."""
        self._succeeded_at = self._loop.time()
        self._failures.clear()
        self._fails_until = 0.0
        self.answered(began)

    def answered(self, began: float) -> None:
        """Allow more calls at once: it takes calls, although not every card."""
        self._widen(began)
        self._hand_out()

    def failed(self, seq: int, began: float) -> None:
        """Allow more calls at once, but few and after a pause if it is the channel that fails.

        `seq`: the place of the message in its stream.
        """
        self._widen(began)
        self._count(seq, began)
        if self.fails and began >= self._rested_at:
            self._rested_at = self._failed_at
            pause = min(max(SOONEST, (self._failed_at - self._fails_since) / SHARE), _LATEST)
            self._fails_until = self._failed_at + pause
            self._room = min(self._room, _PROBES)
        self._hand_out()

    def _count(self, seq: int, began: float) -> None:
        """Count a failure, unless others succeeded meanwhile: then it is its message that fails."""
        if began - self._failed_at > _STALE:
            self._failures.clear()
        self._failed_at = self._loop.time()
        if began < self._succeeded_at:
            return
        if not self._failures:
            self._fails_since = began
        self._failures.put(seq, (self._failures.get(seq) or 0) + 1, size=1)

    def _widen(self, began: float) -> None:
        """Allow more calls at once, after one that was not told to wait.

        After a failure too: else each card waits for the calls of all older ones, until one works.
        What began before the channel asked for time says nothing.
        """
        if began >= self._rested_at:
            self._room = min(2 * self._room, _MOST)

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
        waiting = _Waiting(seq, next(self._numbers), turn)
        self._waiting.add(waiting)
        self._hand_out()
        try:
            await asyncio.wait({turn}, timeout=patience)
        except asyncio.CancelledError:
            if not turn.cancel():
                self._taken -= 1
                self._hand_out()
            raise
        finally:
            self._waiting.discard(waiting)
        return not turn.cancel()

    def _hand_out(self) -> None:
        """Give turns to those who are first, as far as there is room."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting and (rest := self.rest) > 0.0:
            self._alarm = self._loop.call_later(rest, self._hand_out)
            return
        while self._waiting and self._taken < self._room:
            first = min(self._waiting, key=self._order)
            self._waiting.remove(first)
            if not first.turn.cancelled():
                self._taken += 1
                first.turn.set_result(None)

    def _order(self, waiting: _Waiting) -> tuple[int, int, int]:
        """The oldest message is first, but those that keep failing do not keep others waiting."""
        return self._failures.peek(waiting.seq) or 0, waiting.seq, waiting.number
