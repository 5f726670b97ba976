"""Calls of one channel: each has a time limit, and one that never ends holds up nothing else."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

from ...runtime.channel import Card, Channel, ChannelError, Finding
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
"""Seconds that a card waits for its turn before it is handed back: so it is not done all the time,
however many wait."""


class Resting(ChannelError):
    """The channel was not called: it has asked for time, or others have their turn before."""


class Calls(Protocol):
    """What can be told a channel. Each call raises ChannelError."""

    async def send(self, card: Card) -> str:
        """Show a card; return what finds it again."""
        ...

    async def find(self, card: Card) -> str:
        """What finds a card that was sent; empty: it was not, or nobody can know."""
        ...

    async def refresh(self, ref: str, card: Card) -> None:
        """Show a card as it is now."""
        ...


class ChannelCalls:
    """Calls a channel. Whatever it raises becomes a ChannelError."""

    def __init__(self, channel: Channel, limit: float = LIMIT) -> None:
        self.channel = channel
        self._limit = limit
        self._left: set[asyncio.Task[Any]] = set()
        """Calls that took too long: a channel may ignore that it was cancelled."""
        self._pace = Pace()

    @property
    def stuck_for(self) -> float:
        """Seconds since a call succeeded, or since this process began if none has."""
        return self._pace.stuck_for

    @asynccontextmanager
    async def turn(self, seq: int) -> AsyncGenerator[Calls]:
        """Wait for a turn to call the channel; if none comes in time, every call raises Resting.

        `seq`: the place of the message in its stream; the oldest has the first turn.
        """
        async with self._pace.turn(seq, PATIENCE) as has_turn:
            yield self if has_turn else _NoTurn(self.channel, self._pace.rest)

    async def send(self, card: Card) -> str:
        """Show a card; return what finds it again. Raises ChannelError."""
        ref: Any = await self._call(self.channel.send(card))
        text = ref if isinstance(ref, str) else ""
        return text[:_LONGEST].encode("utf-8", "replace").decode()

    async def find(self, card: Card) -> str:
        """What finds a card that was sent; empty: it was not, or nobody can know.

        Raises ChannelError.
        """
        if not isinstance(self.channel, Finding):
            return ""
        return await self._call(self.channel.find(card))

    async def refresh(self, ref: str, card: Card) -> None:
        """Show a card as it is now. Raises ChannelError."""
        show = self.channel.update if card.status == "open" else self.channel.close
        await self._call(show(ref, card))

    async def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        loop = asyncio.get_running_loop()
        if (rest := self._pace.rest) > 0:
            coroutine.close()
            raise Resting(_LATER, retry_after=rest)
        if len(self._left) >= _LEFT:
            coroutine.close()
            raise ChannelError("its earlier calls have not ended")
        began = self._pace.now
        task = loop.create_task(coroutine)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._limit)
        except asyncio.CancelledError:
            self._leave(task)
            raise
        if not done:
            self._leave(task)
            self._pace.widen(began)
            raise ChannelError(f"it did not answer within {self._limit:g} s")
        try:
            result = task.result()
        except ChannelError as error:
            error.retry_after = _asked_for(error)
            if error.retry_after is not None:
                self._pace.asked_for(error.retry_after)
            else:
                self._pace.widen(began)
            raise
        except BaseException as error:  # whatever a channel does, its card is tried again
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            self._pace.widen(began)
            raise ChannelError(f"{type(error).__name__}: {message_of(error)}") from error
        self._pace.succeeded(began)
        return result

    def _leave(self, task: asyncio.Task[Any]) -> None:
        self._left.add(task)
        task.add_done_callback(self._ended)
        task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # or it is logged as never retrieved


class _NoTurn:
    """Calls nothing."""

    def __init__(self, channel: Channel, rest: float) -> None:
        self._channel = channel
        self._rest = rest

    async def send(self, card: Card) -> str:
        del card
        raise Resting(_LATER, retry_after=self._rest)

    async def find(self, card: Card) -> str:
        del card
        if not isinstance(self._channel, Finding):
            return ""
        raise Resting(_LATER, retry_after=self._rest)

    async def refresh(self, ref: str, card: Card) -> None:
        del ref, card
        raise Resting(_LATER, retry_after=self._rest)


def _asked_for(error: ChannelError) -> float | None:
    """The rest that a channel asks for, in seconds; None: it asks for none, or for nonsense."""
    given: Any = error.retry_after
    if not isinstance(given, int | float) or math.isnan(given) or given <= 0:
        return None
    return min(float(given), _LONGEST_PAUSE)
