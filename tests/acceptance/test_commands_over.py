"""A command that has an outcome is over, even if it is delivered anew as after a takeover."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby import App, Step
from layby.bus.connection import ConnectionSettings
from layby.bus.dead import DeadLetter, NoSuchLetter
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.operations.provisioning import provision
from layby.worker.worker import working
from tests.engine import until

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

WITHIN = 60.0
EVENT = '{"ticket":"T2"}'
LETTER = DeadLetter(
    reason="it cannot be read",
    subject="shop.opened",
    is_text=True,
    mailbox="on-handle",
    stream="EVENTS",
    seq=1,
    at=1.0,
    size=len(EVENT),
    body=EVENT,
    num_delivered=1,
    event_id="",
)


def shop() -> App:
    app = App("shop")

    @app.workflow(on="shop.opened", key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> None: ...

    return app


async def test_a_refused_command_is_not_carried_out_when_it_is_delivered_again(
    own_server: EmbeddedServer,
) -> None:
    here, app = ConnectionSettings(servers=(own_server.url,)), shop()
    await provision(app, here)
    async with opened(here) as bus, Client.connect(here) as client:
        async with working(app, here):
            with pytest.raises(NoSuchLetter):
                await client.retry_dead(1)
        name = "AUDIT.commands"
        config: dict[str, Any] = (await bus.requests.api(f"CONSUMER.INFO.{name}"))["config"]
        await bus.requests.api(f"CONSUMER.DELETE.{name}")
        body: dict[str, Any] = {"stream_name": "AUDIT", "config": {**config, "metadata": {}}}
        await bus.requests.api(f"CONSUMER.CREATE.{name}", body)
        await bus.requests.store("dead.on-handle", msgspec.json.encode(LETTER))

        async def handled() -> bool:
            info = await bus.requests.api(f"CONSUMER.INFO.{name}")
            return bool(info["ack_floor"]["stream_seq"] == 1)

        async with working(app, here):
            await until(handled, WITHIN)
        assert [each.id for each in await client.dead()] == [1]
