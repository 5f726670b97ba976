"""What lists say of a run beside its status: title, labels, tokens, cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from layby import Agent, App, Keyring, Network, Step
from layby.bus.keyring import new_key
from layby.bus.opened import opened
from layby.bus.reading import every
from layby.client import Client
from layby.models import Price
from layby.runtime.index import BUCKET
from layby.testing import TestRuntime, says
from layby.views.rows import RunRow
from tests.engine import once, until
from tests.fix_layby import Desk
from tests.scripted import USAGE, Scripted

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
CANARY = "zq7canary"
EVENT = {"id": "T1", "subject": f"Lost {CANARY}", "customer": {"plan": f"pro-{CANARY}"}}


def desk(*, encryption: Keyring | None = None, **options: Any) -> App:
    reply = replace(says("Found."), usage=USAGE, model="small-2026-01-02")
    agent = Agent("Clerk", system="Help.", model=Scripted(lambda _: reply, name="small"))
    network = Network("desk", agents=[agent], router=once)
    app = App("desk", networks=[network], encryption=encryption, **options)

    @app.workflow(
        on="desk.opened", key="id", title="subject", labels={"plan": "customer.plan", "no": "none"}
    )
    async def handle(event: dict[str, Any], step: Step) -> str:
        result = await step.network(network, f"Find what {event['id']} lost.")
        await step.ask("developer", "Well?")
        return result.text

    return app


async def waiting(client: Client, **wanted: Any) -> RunRow:
    """The row of the one run that waits for a person, once the index has it."""

    async def look() -> list[RunRow]:
        return [row for row in await client.runs("waiting", **wanted) if row.input_tokens]

    (row,) = await until(look, 10)
    return row


async def test_they_are_in_lists_and_filter_them(layby_running: Running, tmp_path: Path) -> None:
    prices = {"small": Price(input=1.0, output=100.0)}
    async with layby_running(desk(prices=prices)) as rt, Client.connect(rt.settings) as client:
        await rt.send("desk.opened", EVENT)
        await rt.send("desk.opened", {"id": "T2", "customer": {"plan": "free"}})
        row = await waiting(client, ticket="T1")

        assert row.title == EVENT["subject"]
        assert row.labels == {"plan": f"pro-{CANARY}"}
        assert (row.input_tokens, row.output_tokens) == (10, 1)
        assert row.cost == pytest.approx(110 / 1_000_000)
        assert await client.runs(labels=row.labels) == [row]
        assert await client.runs(labels={**row.labels, "no": "x"}) == []
        assert await client.runs(text="lost zq7") == [row], "the title is searched"

        shown = await client.show("T1")
        assert (shown.title, shown.labels, shown.cost) == (row.title, row.labels, row.cost)
        shell = Desk(tmp_path, rt.settings.servers[0])
        listed = await asyncio.to_thread(shell.run, "runs", "--label", f"plan:pro-{CANARY}")
        assert "T1" in listed.stdout
        assert "T2" not in listed.stdout
        said = await asyncio.to_thread(shell.run, "show", "T1")
        assert f"plan:pro-{CANARY}" in said.stdout
        assert "10 tokens read, 1 written, $0.0001" in said.stdout
        refused = await asyncio.to_thread(shell.run, "runs", "--label", "plan")
        assert refused.returncode != 0
        assert "give its name and its value" in refused.stderr


async def test_only_the_tokens_of_an_encrypted_run_are_plain(layby_running: Running) -> None:
    ring = Keyring(dict([new_key("k1").split(":", 1)]))
    async with layby_running(desk(encryption=ring)) as rt:
        async with Client.connect(rt.settings, keyring=ring) as client:
            await rt.send("desk.opened", EVENT)
            row = await waiting(client)
            assert (row.title, row.labels) == (EVENT["subject"], {"plan": f"pro-{CANARY}"})
            assert await client.runs(labels=row.labels) == [row]
        async with Client.connect(rt.settings) as stranger:
            row = await waiting(stranger)
            assert (row.title, row.labels, row.input_tokens) == ("", {}, 10)
        async with opened(rt.settings) as bus:
            stream = bus.requests.names.bucket_stream(BUCKET)
            stored = [message.data async for message in every(bus.requests, stream, ">")]
        assert stored
        assert not [data for data in stored if CANARY.encode() in data]
