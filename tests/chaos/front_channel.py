"""A real channel, of which it is noted whose caller was not told what became of a card."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol

from layby.channels import Card, Channel

from .board_channel import UNHEARD


class _Finding(Channel, Protocol):
    async def find(self, card: Card) -> str: ...


class FrontChannel:
    """Passes everything on to a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.name = channel.name

    def missing(self) -> str:
        """What this process lacks."""
        return self._channel.missing()

    async def send(self, card: Card) -> str:
        """Send a card. Raises what the channel raises."""
        try:
            return await self._channel.send(card)
        except BaseException:  # cancelled, for instance, because it took too long
            with Path(f"{os.environ[UNHEARD]}.front").open("a") as file:  # noqa: ASYNC230
                file.write(f"{card.question} {self.name} {time.time()}\n")
            raise

    async def update(self, ref: str, card: Card) -> None:
        """Rewrite it. Raises what the channel raises."""
        await self._channel.update(ref, card)

    async def close(self, ref: str, card: Card) -> None:
        """Rewrite it. Raises what the channel raises."""
        await self._channel.close(ref, card)


class FindingChannel(FrontChannel):
    """The same for a channel that looks up what it has sent."""

    def __init__(self, channel: _Finding) -> None:
        super().__init__(channel)
        self._finding = channel

    async def find(self, card: Card) -> str:
        """Where a card is. Raises what the channel raises."""
        return await self._finding.find(card)
