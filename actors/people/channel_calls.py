"""Calls of one channel: each has a time limit, and one that never ends holds up nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from ...runtime.channel import Card, Channel, ChannelError, Finding
from ...runtime.failure import message_of

T = TypeVar("T")

LIMIT: Final = 10.0
"""Seconds that a call may take."""
_LEFT: Final = 32
"""Calls that were left behind and have not ended, above which the channel is not called."""
_LONGEST: Final = 500
"""Characters of a reference."""
_LONGEST_PAUSE: Final = 3600.0
"""Seconds for which a channel can ask for rest."""


class ChannelCalls:
    """Calls a channel. Whatever it raises becomes a ChannelError."""

    def __init__(self, channel: Channel, limit: float = LIMIT) -> None:
        self.channel = channel
        self._limit = limit
        self._left: set[asyncio.Task[Any]] = set()
        """Calls that took too long: a channel may ignore that it was cancelled."""
        self._rests_until = 0.0

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
        if (rest := self._rests_until - loop.time()) > 0:
            coroutine.close()
            raise ChannelError("it asked to be called later", retry_after=rest)
        if len(self._left) >= _LEFT:
            coroutine.close()
            raise ChannelError("its earlier calls have not ended")
        task = loop.create_task(coroutine)
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
        except ChannelError as error:
            pause = error.retry_after or 0.0
            if pause > 0.0:
                self._rests_until = loop.time() + min(pause, _LONGEST_PAUSE)
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
