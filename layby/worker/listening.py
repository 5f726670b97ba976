"""Listens to what people say on a channel, for as long as the process lives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from ..app import App
from ..runtime.channel import Channel, Desk, Listening
from ..runtime.failure import message_of

log = structlog.get_logger("layby.channel")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
"""Seconds before a channel that stopped is listened to again: twice as long after each failure."""
_PROVEN: Final = 5.0
"""Seconds of listening after a failure before people count as heard."""
_SETTLED: Final = 60.0
"""Seconds of listening after which the next failure counts as the first."""


class Listener:
    """Listens to one channel. Whatever the channel raises, it is listened to again."""

    def __init__(self, name: str, channel: Listening, desk: Desk) -> None:
        self.name: Final = name
        self.heard = True
        """Whether people are heard on it now, as far as is known."""
        self._channel = channel
        self._desk = desk

    async def run(self) -> None:
        """Listen until cancelled."""
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        while True:
            since = loop.time()
            proven = loop.call_later(_PROVEN, self._prove)
            try:
                why = await self._listen()
            finally:
                proven.cancel()
            self.heard = False
            if loop.time() - since > _SETTLED:
                pause = _FIRST_PAUSE
            log.warning("channel.deaf", channel=self.name, error=why, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _prove(self) -> None:
        self.heard = True

    async def _listen(self) -> str:
        """Listen until the channel gives up; why it did."""
        try:
            await self._channel.listen(self._desk)
        except Exception as error:  # noqa: BLE001  a channel stops nobody else
            return message_of(error)
        return "it stopped listening"


def listeners(app: App, desk: Desk) -> list[Listener]:
    """A listener for each channel of an app on which people answer, and that lacks nothing here."""
    return [
        Listener(channel.name, channel, desk)
        for channel in _distinct(app)
        if isinstance(channel, Listening) and _is_complete(channel)
    ]


def _distinct(app: App) -> Iterable[Channel]:
    """Each channel once, even if several roles share it."""
    found = (channel for role in app.people.values() for channel in role.channels)
    return {id(channel): channel for channel in found}.values()


def _is_complete(channel: Channel) -> bool:
    lacks = channel.missing()
    if lacks:
        log.warning("channel.unheard", channel=channel.name, lacks=lacks)
    return not lacks
