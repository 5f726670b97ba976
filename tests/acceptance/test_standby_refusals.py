"""When a standby does not take over, and what a takeover leaves alone."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus.connection import ConnectionSettings
from layby.bus.inventory import consumers
from layby.bus.mirroring import mirror_of
from layby.bus.opened import opened
from layby.bus.ownership import mark
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.operations.standby import StandbyRefused, take_over
from tests.disaster_app import app

pytestmark = pytest.mark.nats

API = "$JS.berlin.API"
LOGINS = """
authorization {{
  users: [
    {{ user: boss, password: boss }}
    {{ user: mover, password: mover, permissions: {{ publish: {{ deny: "{denied}" }} }} }}
  ]
}}
"""


async def mirror(requests: Requests) -> None:
    """A mirror of a stream in a cluster that nothing leads to."""
    source = {
        "name": "EVENTS",
        "subjects": ["disaster.opened"],
        "storage": "file",
        "allow_direct": True,
        "metadata": mark(requests.names),
    }
    await requests.api("STREAM.CREATE.EVENTS", mirror_of(source, API, 1))


@asynccontextmanager
async def standby(folder: Path, denied: str = "nothing") -> AsyncGenerator[EmbeddedServer]:
    async with EmbeddedServer(folder, extra=LOGINS.format(denied=denied)) as server:
        async with opened(login(server, "boss")) as bus:
            await mirror(bus.requests)
        yield server


def login(server: EmbeddedServer, user: str) -> ConnectionSettings:
    return ConnectionSettings(servers=(server.url,), user=user, password=user)


async def test_a_refusal_says_that_the_first_cluster_lives(tmp_path: Path) -> None:
    async with standby(tmp_path) as server, opened(login(server, "boss")) as other:
        asked = 0

        async def refuse(message: Any) -> None:
            nonlocal asked
            asked += 1
            if asked > 1:  # the first request is lost
                await other.requests.publish(
                    message.reply, b'{"error":{"code":503,"err_code":10008,"description":"none"}}'
                )

        await other.connection.nc.subscribe(f"{API}.INFO", cb=refuse)
        with pytest.raises(StandbyRefused, match="answers on"):
            await take_over([app], login(server, "mover"))
        assert asked == 2


async def test_who_may_not_ask_does_not_take_over(tmp_path: Path) -> None:
    async with standby(tmp_path, denied=f"{API}.>") as server:
        with pytest.raises(StandbyRefused, match=r"publish to \$JS\.berlin\.API\.INFO"):
            await take_over([app], login(server, "mover"))
        async with opened(login(server, "boss")) as bus:
            info = await bus.requests.api("STREAM.INFO.EVENTS")
            assert "mirror" in info["config"], "nothing was changed"


async def test_events_of_runs_that_are_gone_start_nothing(tmp_path: Path) -> None:
    shop = App("shop", retention="10d")

    @shop.workflow(on="disaster.opened", key="ticket")
    async def kept(event: dict[str, Any], step: Step) -> None: ...

    @shop.workflow(on="disaster.packed", key="ticket", retention="50m")
    async def brief(event: dict[str, Any], step: Step) -> None: ...

    forever = App("forever")

    @forever.workflow(on="disaster.held", key="ticket")
    async def held(event: dict[str, Any], step: Step) -> None: ...

    async with standby(tmp_path) as server:
        now = time.time()
        await take_over([shop, forever], login(server, "boss"), force=True)
        async with opened(login(server, "boss")) as bus:
            begins = {
                each["config"]["filter_subject"]: each["config"]
                for each in await consumers(bus.requests, "EVENTS")
            }
    for subject, age in (("opened", 10 * 86_400 - 3_600), ("packed", 45 * 60)):
        config = begins[f"disaster.{subject}"]
        assert config["deliver_policy"] == "by_start_time"
        at = datetime.fromisoformat(config["opt_start_time"]).timestamp()
        assert now - age - 1 < at < time.time() - age + 1
    assert begins["disaster.held"]["deliver_policy"] == "all"
