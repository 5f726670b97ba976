"""Admission control: in a flood, admits messages from outside in batches, so that runs proceed.

A worker handles everything on one event loop. Events and answers, which anybody may send, would
take all of its time if they came in masses, and the mail that runs send to themselves would wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from ..bus.mailbox import FLOODED, Delivery

_MOST = 64
"""Messages that are admitted together. Work that runs together is written and read together, which
halves its cost; so the next batch is admitted when a quarter of the last is left."""
_LEFT = 4
_COUNTED_FOR = 0.05
"""Seconds after which a message no longer counts: it is waiting for a step, and takes no time."""
_TICK = 0.01
_LESS, _MORE = 0.7, 0.5
"""The factor for fewer messages when it is too busy, and how many more otherwise."""


class Share(NamedTuple):
    """How much of a worker's time a flood may take."""

    fewest: int
    """Messages that are admitted together, at least."""
    first: int
    """The same, at the beginning."""
    busy: float
    """The share of time that the worker may be busy. The busier it is, the longer the mail of runs
    waits."""
    late: float
    """Seconds that the event loop may be late, whether it is busy or gets no CPU time."""


WANTED: Final = Share(fewest=8, first=16, busy=0.75, late=0.003)
"""For messages that start runs or answer them: this is work, and should be done soon."""
UNWANTED: Final = Share(fewest=1, first=4, busy=0.3, late=0.001)
"""For messages that nobody asked for: all others come first."""


class Gate:
    """The gate of one mailbox: admits as many messages as leave the worker time for other work."""

    def __init__(self, share: Share = WANTED) -> None:
        self._loop = asyncio.get_running_loop()
        self._share = share
        self._width = float(share.first)
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ticking = False

    @asynccontextmanager
    async def admit(self, delivery: Delivery, *, flood: bool = True) -> AsyncGenerator[None]:
        """Handle a message in this block: at once, or in order if its mailbox is flooded.

        `flood`: whether the waiting messages may be a flood, as far as the caller knows.
        """
        if not (self._waiting or (flood and delivery.pending > FLOODED)):
            yield
            return
        if self._waiting or self._inside >= int(self._width):
            await self._wait_turn()
        self._inside += 1
        self._tick_soon()
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._inside -= 1
                self._admit_next()

        timer = self._loop.call_later(_COUNTED_FOR, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()

    async def _wait_turn(self) -> None:
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._inside -= 1
                self._admit_next()
            raise
        self._inside -= 1

    def _admit_next(self) -> None:
        if self._inside * _LEFT > self._width:
            return
        while self._waiting and self._inside < int(self._width):
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1  # until it has woken up
                turn.set_result(None)

    def _tick_soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(_TICK, self._tick, self._loop.time(), time.thread_time())

    def _tick(self, began: float, worked: float) -> None:
        """Widen or narrow the gate by how busy the worker was since `began`, and how late it is."""
        self._ticking = False
        passed, busy = self._loop.time() - began, time.thread_time() - worked
        if passed > _TICK + self._share.late or busy > self._share.busy * passed:
            self._width = max(float(self._share.fewest), self._width * _LESS)
        else:
            self._width = min(float(_MOST), self._width + _MORE)
        if self._inside or self._waiting:
            self._tick_soon()
