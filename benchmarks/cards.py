"""How long it takes until a question is shown on a channel: in this process, in Slack, by mail."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

from layby import App, Role
from layby.bus.settings import ConnectionSettings
from layby.channels import Card, Channel, email, slack
from layby.client import Client
from layby.testing import MemoryChannel
from layby.worker.worker import working

from .drive import PAUSE, each
from .far_side import MAIL, SLACK, far_side
from .measure import Figure, spread
from .server import server
from .sizes import Sizes

WORKLOAD = "cards"
_EVENT = "cards.asked"
_AT_ONCE = 16
_WITHIN = 120.0


class _Timed:
    """A channel that notes how long each card took from its question's record until it was out."""

    def __init__(self, channel: Channel) -> None:
        self.name = channel.name
        self.seconds: list[float] = []
        self._channel = channel
        self._sent = asyncio.Event()

    def missing(self) -> str:
        """As the channel says."""
        return self._channel.missing()

    async def send(self, card: Card) -> str:
        """Note the time when the other side has taken it."""
        ref = await self._channel.send(card)
        self.seconds.append(max(0.0, time.time() - card.asked_at))
        self._sent.set()
        return ref

    async def update(self, ref: str, card: Card) -> None:
        """Pass it on."""
        await self._channel.update(ref, card)

    async def close(self, ref: str, card: Card) -> None:
        """Pass it on."""
        await self._channel.close(ref, card)

    async def sent(self, count: int) -> None:
        """Wait until so many were sent."""
        async with asyncio.timeout(_WITHIN):
            while len(self.seconds) < count:
                self._sent.clear()
                await self._sent.wait()


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """Seconds from a question's record until a channel has its card, one by one, and in a rush.

    The worker is in this process: it shares its core with the client that sends the events. Slack
    and the mail server are in processes of their own. Each of them limits how fast cards may come,
    so a rush is measured in this process only.
    """
    found: list[Figure] = []
    async with _asked(sync, MemoryChannel()) as desk:
        found += await desk.one_by_one("card", sizes)
        rate = await desk.in_a_rush(sizes)
        found.append(Figure(WORKLOAD, "questions shown", rate, "cards/s", sync=sync))
    async with far_side(SLACK) as variables:
        with _environment(variables):
            async with _asked(sync, slack("#oncall", base_url=variables["SLACK_URL"])) as desk:
                found += await desk.one_by_one("card in Slack", sizes)
    async with far_side(MAIL) as variables:
        with _environment(variables):
            async with _asked(sync, email("dev@acme.example")) as desk:
                found += await desk.one_by_one("card by mail", sizes)
    return found


def _environment(variables: Mapping[str, str]) -> Any:
    proxies = {f"{kind}_proxy": "" for kind in ("http", "https", "HTTP", "HTTPS")}
    return patch.dict(os.environ, {**proxies, **variables})


class _Desk:
    """An app with one channel, and its worker."""

    def __init__(self, channel: _Timed, client: Client, sync: str) -> None:
        self._channel = channel
        self._client = client
        self._sync = sync

    async def one_by_one(self, what: str, sizes: Sizes) -> list[Figure]:
        """Ask a question, and the next one when its card is out."""
        for number in range(sizes.warm_up):
            await self._ask(f"W{number}")
            await self._channel.sent(number + 1)
        self._channel.seconds.clear()
        for number in range(sizes.latency_runs):
            await asyncio.sleep(PAUSE)
            await self._ask(f"L{number}")
            await self._channel.sent(number + 1)
        return [
            Figure(WORKLOAD, f"question -> {what}, {name}", value * 1e3, "ms", sync=self._sync)
            for name, value in spread(self._channel.seconds).items()
        ]

    async def in_a_rush(self, sizes: Sizes) -> float:
        """Cards per second with many questions at once."""
        self._channel.seconds.clear()
        began = time.perf_counter()
        tickets = [f"T{number}" for number in range(sizes.throughput_runs)]
        await each(tickets, self._ask, _AT_ONCE)
        await self._channel.sent(sizes.throughput_runs)
        return sizes.throughput_runs / (time.perf_counter() - began)

    async def _ask(self, ticket: str) -> None:
        await self._client.send(_EVENT, {"ticket": ticket})


@asynccontextmanager
async def _asked(sync: str, channel: Channel) -> AsyncGenerator[_Desk]:
    """A server of its own, and a worker of an app that asks on a channel."""
    timed = _Timed(channel)
    app = App("cards", roles=[Role("developer", channels=[timed])])

    @app.workflow(on=_EVENT, key="ticket", name="ask")
    async def ask(event: dict[str, Any], step: Any) -> str:
        del event
        return str((await step.ask("developer", "Is this a known problem?")).text)

    async with server(sync) as nats:
        settings = ConnectionSettings(servers=(nats.url,))
        async with working(app, settings), Client.connect(settings) as client:
            yield _Desk(timed, client, sync)
