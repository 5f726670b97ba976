"""How long it takes until a question is shown on a channel that answers at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from layby import App, Role
from layby.bus.settings import ConnectionSettings
from layby.channels import Card
from layby.client import Client
from layby.worker.worker import working

from .drive import PAUSE, each
from .measure import Figure, spread
from .server import server
from .sizes import Sizes

WORKLOAD = "cards"
_EVENT = "cards.asked"
_AT_ONCE = 16
_WITHIN = 120.0


class _Clock:
    """A channel that notes how long each card took since its question was recorded."""

    def __init__(self) -> None:
        self.name = "clock"
        self.seconds: list[float] = []
        self._sent = asyncio.Event()

    def missing(self) -> str:
        """Nothing."""
        return ""

    async def send(self, card: Card) -> str:
        """Note the time."""
        self.seconds.append(max(0.0, time.time() - card.asked_at))
        self._sent.set()
        return card.key

    async def update(self, ref: str, card: Card) -> None:
        """Do nothing."""

    async def close(self, ref: str, card: Card) -> None:
        """Do nothing."""

    async def sent(self, count: int) -> None:
        """Wait until so many were sent."""
        async with asyncio.timeout(_WITHIN):
            while len(self.seconds) < count:
                self._sent.clear()
                await self._sent.wait()


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Seconds from the record of a question to the call of its channel, one by one and in a rush.

    The worker is in this process: it shares its core with the client that sends the events.
    """
    clock = _Clock()
    app = App("cards", roles=[Role("developer", channels=[clock])])

    @app.workflow(on=_EVENT, key="ticket", name="ask")
    async def ask(event: dict[str, Any], step: Any) -> str:
        del event
        return str((await step.ask("developer", "Is this a known problem?")).text)

    async with server(sync) as nats:
        settings = ConnectionSettings(servers=(nats.url,))
        async with working(app, settings), Client.connect(settings) as client:

            async def send(ticket: str) -> None:
                await client.send(_EVENT, {"ticket": ticket})

            for number in range(sizes.warm_up):
                await send(f"W{number}")
                await clock.sent(number + 1)
            clock.seconds.clear()
            for number in range(sizes.latency_runs):
                await asyncio.sleep(PAUSE)
                await send(f"L{number}")
                await clock.sent(number + 1)
            alone = spread(clock.seconds)
            clock.seconds.clear()
            began = time.perf_counter()
            await each([f"T{number}" for number in range(sizes.throughput_runs)], send, _AT_ONCE)
            await clock.sent(sizes.throughput_runs)
            took = time.perf_counter() - began
    found = [
        *((f"question -> card, {name}", value * 1e3, "ms") for name, value in alone.items()),
        ("questions shown", sizes.throughput_runs / took, "cards/s"),
    ]
    return [Figure(WORKLOAD, name, value, unit, sync=sync) for name, value, unit in found]
