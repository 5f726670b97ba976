"""Following a run: by whatever names it, from its beginning to its end, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from layby import Step
from layby.bus.connection import ConnectionSettings
from layby.client import Client, NoSuchRun
from layby.events import RunEnded, RunStarted
from tests.engine import ON, WITHIN, Engine, app_of
from tests.fix_nats import eventually
from tests.fix_proxy import Proxy

pytestmark = pytest.mark.nats

NOBODY = "f" * 20


async def handle(event: dict[str, Any], step: Step) -> str:
    return f"{event['ticket']} is done in {step.run_id}"


async def first(lines: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(WITHIN):
        return await anext(lines)


@pytest.mark.parametrize("name", ["1001", NOBODY, "fff"])
async def test_a_name_that_means_no_run_is_an_error_at_once(engine: Engine, name: str) -> None:
    async with engine.works(app_of(handle)):
        for lines in (
            engine.client.events(name),
            engine.client.follow(name),
            engine.client.run(name).events(),
        ):
            with pytest.raises(NoSuchRun, match=name):
                await first(lines)
        with pytest.raises(NoSuchRun, match=name):
            async with asyncio.timeout(WITHIN):
                await engine.client.run(name).ended()


async def test_a_ticket_works_wherever_a_run_does(engine: Engine) -> None:
    async with engine.works(app_of(handle)):
        run = await engine.start("1001")
        await engine.ended(run)
        for name in ("1001", run, run[:8]):
            async with asyncio.timeout(WITHIN):
                events = [event async for event in engine.client.events(name)]
                lines = [line async for line in engine.client.follow(name)]
            assert isinstance(events[0], RunStarted)
            assert isinstance(events[-1], RunEnded)
            assert {event.run for event in events} == {run}
            assert [lines[0].kind, lines[-1].kind] == ["run.started", "run.ended"]


async def test_a_run_that_is_about_to_exist_is_waited_for(engine: Engine) -> None:
    async with engine.works(app_of(handle)):
        coming = engine.client.run_of("handle", "e-1")
        told = asyncio.create_task(first(coming.events()))
        over = asyncio.create_task(engine.client.run_of("handle", "e-1").ended())
        assert not told.done()
        await engine.client.send(ON, {"ticket": "T1"}, event_id="e-1")
        assert isinstance(await told, RunStarted)
        assert (await over).status == "completed"


async def test_a_server_that_takes_its_time_is_waited_for(engine: Engine, proxy: Proxy) -> None:
    """What is read follows the subscription on the same connection, without a word in between."""
    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.ended(run)
    async with Client.connect(ConnectionSettings(servers=(proxy.url,))) as client:
        proxy.hold(clients=False)
        proxy.passed.clear()
        told = asyncio.create_task(first(client.events(run, wait=True)))
        await eventually(lambda: told.done() or b"$JS.API." in proxy.passed)
        assert not told.done()
        proxy.release()
        assert isinstance(await told, RunStarted)


async def test_an_unknown_run_may_be_waited_for_when_that_is_meant(engine: Engine) -> None:
    async with engine.works(app_of(handle)):
        run = await coming_id(engine)
        lines = asyncio.create_task(first(engine.client.follow(run, wait=True)))
        events = asyncio.create_task(first(engine.client.events(run, wait=True)))
        await engine.client.send(ON, {"ticket": "T1"}, event_id="e-2")
        assert (await lines).kind == "run.started"
        assert isinstance(await events, RunStarted)


async def coming_id(engine: Engine) -> str:
    return await engine.client.run_of("handle", "e-2").id()
