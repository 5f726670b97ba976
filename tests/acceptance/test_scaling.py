"""Workers at zero: what `layby deploy keda` writes, judged by KEDA's rule on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.client import Client
from layby.client.answer_api import NoReceipt
from layby.operations.provisioning import provision
from layby.operations.scaling import Scaling, scaled_object, sources
from layby.worker.worker import working
from tests.engine import until
from tests.keda import MONITORED, asked, lags, monitoring_port
from tests.security.house import House, desk, with_tokens

pytestmark = pytest.mark.nats

NOWHERE = "$G"
"""The account of a server that has none."""
WITHIN = 20.0


def waiting() -> App:
    app = App("waiting", events=["order.paid"])

    @app.workflow(on="order.asked", key="id")
    async def ask(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", event["id"])).text

    @app.workflow(on="order.slept", key="id")
    async def sleep(event: dict[str, Any], step: Step) -> None:
        await step.sleep(event["for"])

    @app.workflow(on="order.placed", key="id")
    async def wait(event: dict[str, Any], step: Step) -> None:
        await step.wait_for_event("order.paid", match={"id": event["id"]}, timeout="1h")

    return app


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server with monitoring, a client, and the ScaledObject of the app."""

    app: App
    server: EmbeddedServer
    client: Client
    scaled: dict[str, Any]

    @property
    def settings(self) -> ConnectionSettings:
        return ConnectionSettings(servers=(self.server.url,))

    async def lags(self) -> dict[tuple[str, str], int]:
        port = monitoring_port(self.server.log)
        return await asyncio.to_thread(lags, self.scaled, port)

    async def quiet(self) -> None:
        """Return once KEDA would stop all workers."""

        async def none() -> bool:
            return not await self.lags()

        await until(none, WITHIN)

    async def woken(self, stream: str, consumer: str) -> None:
        """Return once KEDA would start a worker because of this consumer."""

        async def lag() -> int:
            return (await self.lags()).get((stream, consumer), 0)

        await until(lag, WITHIN)

    async def ended(self, *tickets: str) -> None:
        async def all_of_them() -> bool:
            rows = await self.client.runs()
            return {row.ticket for row in rows if row.status == "completed"} >= set(tickets)

        await until(all_of_them, WITHIN)


@asynccontextmanager
async def site(folder: Path) -> AsyncGenerator[Site]:
    app = waiting()
    async with EmbeddedServer(folder / "nats", extra=MONITORED) as server:
        settings = ConnectionSettings(servers=(server.url,))
        await provision(app, settings)
        async with Client.connect(settings) as client:
            found = sources(app, account=NOWHERE, trail=NOWHERE)
            scaled = scaled_object(Scaling(), found)
            yield Site(app=app, server=server, client=client, scaled=scaled)


@pytest.mark.slow
async def test_no_worker_runs_while_everybody_waits_and_anything_starts_one(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as here:
        client = here.client
        await client.send("order.asked", {"id": "T1"})
        await here.woken("EVENTS", "on-ask")
        async with working(here.app, here.settings):
            await client.send("order.asked", {"id": "T2"})
            await client.send("order.slept", {"id": "T3", "for": "1h"})
            await client.send("order.slept", {"id": "T4", "for": "4s"})
            await client.send("order.placed", {"id": "T5"})

            async def asked_and_parked() -> bool:
                return len(await client.questions()) == 2 and len(await client.runs()) == 5

            await until(asked_and_parked, WITHIN)
            # An answer that was handled wakes nobody again, though it stays in its stream.
            assert (await client.answer("T2", "yes", timeout=WITHIN)).outcome == "accepted"
            await here.ended("T2")
            await here.quiet()
        await here.quiet()

        await here.woken("TIMERS", "due")
        async with working(here.app, here.settings):
            await here.ended("T4")
            await here.quiet()

        with suppress(NoReceipt):
            await client.answer("T1", "late", timeout=0.1)
        await here.woken("ANSWERS", "answers-developer")
        async with working(here.app, here.settings):
            await here.ended("T1")
            await here.quiet()

        await client.send("order.paid", {"id": "T5"})
        await here.woken("EVENTS", "waits")
        async with working(here.app, here.settings):
            await here.ended("T5")
            await here.quiet()


async def test_in_operator_mode_keda_finds_no_account(tmp_path: Path) -> None:
    """The server is asked for an account by its key, and reports it by its name: see docs."""
    registry = with_tokens(desk(), tmp_path)
    extra = f"{registry.config.read_text()}\n{MONITORED}"
    async with EmbeddedServer(tmp_path / "nats", extra=extra) as server:
        nats = await House.by_tokens(server.url, registry)
        await provision(desk(), nats.settings("provisioner"))
        port = monitoring_port(server.log)
        for account in ("LAYBY", registry.account):
            told = await asyncio.to_thread(asked, port, f"/jsz?acc={account}&consumers=true")
            names = {each["name"] for each in told.get("account_details") or ()}
            assert account not in names, "KEDA can scale in operator mode: say so in the docs"
