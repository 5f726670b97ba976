"""Events and answers that were lost with the first cluster are not taken for new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.client import Client
from layby.operations.provisioning import provision
from layby.operations.standby import take_over
from layby.worker.worker import working
from tests.acceptance.test_standby import caught_up, joined, last_seqs
from tests.engine import until
from tests.standby import first_and_standby

pytestmark = [pytest.mark.nats, pytest.mark.timeout(180)]

WITHIN = 60.0


def shop() -> App:
    app = App("shop", events=["shop.paid"])

    @app.workflow(on="shop.opened", key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        ticket = event["ticket"]
        first = await step.ask("developer", "First?")
        second = await step.ask("developer", "Second?")
        paid = await step.wait_for_event("shop.paid", match={"ticket": ticket}, timeout="1h")
        return [first.text, second.text, str(paid and paid["by"])]

    return app


async def lose(here: ConnectionSettings, *streams: str) -> None:
    """Let these mirrors lack everything."""
    async with opened(here) as bus:
        for stream in streams:
            config = (await bus.requests.api(f"STREAM.INFO.{stream}"))["config"]
            await bus.requests.api(f"STREAM.DELETE.{stream}")
            await bus.requests.api(f"STREAM.CREATE.{stream}", config)


async def asked(client: Client, question: str) -> None:
    async def look() -> bool:
        return [each.question for each in await client.asked("T1")] == [question]

    await until(look, WITHIN)


@pytest.mark.slow
async def test_the_sequences_of_lost_messages_are_not_given_out_again(tmp_path: Path) -> None:
    first, second = first_and_standby(tmp_path)
    async with first, second:
        there = ConnectionSettings(servers=(first.url,))
        here = ConnectionSettings(servers=(second.url,))
        app = shop()
        await provision(app, there)
        await until(lambda: joined(here), WITHIN)
        async with working(app, there), Client.connect(there) as client:
            for number in range(3):
                await client.send("shop.paid", {"ticket": f"other {number}", "by": "nobody"})
            await client.send("shop.opened", {"ticket": "T1"})
            await asked(client, "First?")
            assert (await client.answer("T1", "one", timeout=WITHIN)).outcome == "accepted"
            await asked(client, "Second?")
        ends = await last_seqs(first.url)
        await caught_up(here, ends)
        first.kill()
        await lose(here, "ANSWERS", "EVENTS")
        await take_over([app], here)
        async with opened(here) as bus:
            for stream in ("ANSWERS", "EVENTS"):
                info = await bus.requests.api(f"STREAM.INFO.{stream}")
                assert info["state"]["last_seq"] >= ends[stream] + 1_000
                assert not [each for each in info["config"]["subjects"] if "skipped" in each]
        async with working(app, here), Client.connect(here) as client:
            assert (await client.answer("T1", "two", timeout=WITHIN)).outcome == "accepted"
            await client.send("shop.paid", {"ticket": "T1", "by": "ada"})

            async def ended() -> str:
                rows = await client.runs(ticket="T1")
                return rows[0].id if rows and rows[0].status == "completed" else ""

            run = await until(ended, WITHIN)
            assert (await client.show(run)).result == ["one", "two", "ada"]
