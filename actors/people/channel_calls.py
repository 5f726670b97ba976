"""Calls of one channel: each has a time limit, and one that never ends holds up nothing else."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

from ...runtime.channel import Card, Channel, ChannelError, Finding, Undeliverable
from ...runtime.failure import message_of
from .channel_pace import Pace

T = TypeVar("T")
_LATER: Final = "it asked to be called later"

LIMIT: Final = 10.0
"""Seconds that a call may take."""
_LEFT: Final = 32
"""Calls that were left behind and have not ended, above which the channel is not called."""
_LONGEST: Final = 500
"""Characters of a reference."""
_LONGEST_PAUSE: Final = 3600.0
"""Seconds for which a channel can ask for rest."""
PATIENCE: Final = 5.0
"""Seconds that a card waits for its turn before it is handed back: so that is rare, however many
wait."""


class Resting(ChannelError):
    """The channel was not called: it rests, or it is the turn of others."""


class Turn:
    """What one message may tell a channel. Without a turn, every call raises Resting."""

    def __init__(self, calls: ChannelCalls, seq: int, *, granted: bool) -> None:
        self._calls = calls
        self._channel = calls.channel
        self._seq = seq
        self._granted = granted

    async def send(self, card: Card) -> str:
        """Show a card; return its reference. Raises ChannelError."""
        ref: Any = await self._call(partial(self._channel.send, card))
        text = ref if isinstance(ref, str) else ""
        return text[:_LONGEST].encode("utf-8", "replace").decode()

    async def find(self, card: Card) -> str:
        """The reference of a card that was sent; empty: it was not, or that cannot be known.

        Raises ChannelError.
        """
        if not isinstance(self._channel, Finding):
            return ""
        return await self._call(partial(self._channel.find, card))

    async def refresh(self, ref: str, card: Card) -> None:
        """Show the current state of a card. Raises ChannelError."""
        show = self._channel.update if card.status == "open" else self._channel.close
        await self._call(partial(show, ref, card))

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        if not self._granted:
            raise self._calls.resting()
        return await self._calls.carried_out(call, self._seq)


class ChannelCalls:
    """Calls a channel, for all roles that it serves. Whatever it raises becomes a ChannelError."""

    def __init__(self, channel: Channel, limit: float = LIMIT) -> None:
        self.channel = channel
        self.pace = Pace()
        self._limit = limit
        self._failure = ""
        """How the last failed call failed."""
        self._left: set[asyncio.Task[Any]] = set()
        """Calls that took too long: a channel may ignore that it was cancelled."""

    @asynccontextmanager
    async def turn(self, seq: int) -> AsyncGenerator[Turn]:
        """Wait for a turn to call the channel; if none comes in time, every call raises Resting.

        `seq`: the place of the message in its stream; the oldest has the first turn.
        """
        async with self.pace.turn(seq, PATIENCE) as granted:
            yield Turn(self, seq, granted=granted)

    def resting(self) -> Resting:
        """Why it is not called now."""
        text = f"it fails one card after another: {self._failure}" if self.pace.fails else _LATER
        return Resting(text, retry_after=self.pace.rest)

    async def carried_out(self, call: Callable[[], Awaitable[T]], seq: int) -> T:
        """What a call for the message `seq` returns. Raises ChannelError."""
        if self.pace.rest > 0:
            raise self.resting()
        if len(self._left) >= _LEFT:
            raise ChannelError("its earlier calls have not ended")
        began = self.pace.now
        try:
            result = await self._limited(call)
        except ChannelError as error:
            error.retry_after = _asked_for(error)
            if error.retry_after is not None:
                self.pace.asked_for(error.retry_after)
            elif isinstance(error, Undeliverable):
                self.pace.answered(began)
            else:
                self._failure = message_of(error)
                self.pace.failed(seq, began)
            raise
        self.pace.succeeded(began)
        return result

    async def _limited(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a call returns within the time limit. Raises ChannelError."""
        task = asyncio.get_running_loop().create_task(_awaited(call))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._limit)
        except asyncio.CancelledError:
            self._leave(task)
            raise
        if not done:
            self._leave(task)
            raise ChannelError(f"it did not answer within {self._limit:g} s")
        try:
            return task.result()
        except ChannelError:
            raise
        except BaseException as error:  # whatever a channel does, its card is tried again
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise ChannelError(f"{type(error).__name__}: {message_of(error)}") from error

    def _leave(self, task: asyncio.Task[Any]) -> None:
        self._left.add(task)
        task.add_done_callback(self._ended)
        task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # or it is logged as never retrieved


async def _awaited(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


def _asked_for(error: ChannelError) -> float | None:
    """The rest that a channel asks for, in seconds; None: it asks for none, or for nonsense."""
    given: Any = error.retry_after
    if not isinstance(given, int | float) or math.isnan(given) or given <= 0:
        return None
    return min(float(given), _LONGEST_PAUSE)
