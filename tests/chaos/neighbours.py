"""Two apps and a stranger's stream in one account: what each finds at the end is its own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from layby import App, Step
from layby.bus.connection import ConnectionSettings
from layby.bus.errors import LaybyError, TopologyMismatch
from layby.bus.opened import opened
from layby.client import Client
from layby.operations.provisioning import provision
from layby.worker.worker import working

PREFIXES = ("shop", "bank")
WITHIN = 10.0
"""Seconds in which a healthy engine is done many times over."""


def app(prefix: str) -> App:
    """An app like its neighbour but for the prefix."""
    made = App("desk", prefix=prefix)

    @made.workflow(on="corp.opened", key="ticket", stream="CORP", name="handle")
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        await step.sleep("10ms")
        return (await step.ask("developer", f"Who asks? {prefix}")).text

    return made


async def trouble(url: str) -> str:
    """What is wrong, empty when nothing is."""
    try:
        async with asyncio.timeout(WITHIN):
            return await _changed(url) or await _mixed_up(url)
    except (LaybyError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"


async def _changed(url: str) -> str:
    """Whether an app without a prefix changes a stream of somebody else."""
    settings = ConnectionSettings(servers=(url,))
    async with opened(settings) as bus:
        api = bus.requests.api
        theirs = {"name": "EVENTS", "subjects": ["theirs"], "allow_direct": True}
        await api("STREAM.CREATE.EVENTS", theirs)
        before = (await api("STREAM.INFO.EVENTS"))["config"]
        plain = App("desk")
        handle = app("shop").workflows["handle"].fn
        plain.workflow(on="desk.opened", key="ticket", name="handle")(handle)
        try:
            await provision(plain, settings)
        except TopologyMismatch:
            pass
        else:
            return "an app took the stream of somebody else for its own"
        return "" if (await api("STREAM.INFO.EVENTS"))["config"] == before else "it was changed"


async def _mixed_up(url: str) -> str:
    settings = ConnectionSettings(servers=(url,))
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(opened(settings))
        await bus.requests.api("STREAM.CREATE.CORP", {"name": "CORP", "subjects": ["corp.>"]})
        clients: dict[str, Client] = {}
        for prefix in PREFIXES:
            await stack.enter_async_context(working(app(prefix), settings))
            connected = Client.connect(settings, prefix=prefix)
            clients[prefix] = await stack.enter_async_context(connected)
        await clients["shop"].send("corp.opened", {"ticket": "T1"})
        for prefix, client in clients.items():
            while not (asked := await client.questions()):
                pass
            if [each.question for each in asked] != [f"Who asks? {prefix}"]:
                return f"{prefix} shows {asked}"
            await client.answer("T1", f"to {prefix}")
        for prefix, client in clients.items():
            while not (ended := await client.runs("completed")):
                pass
            result = (await client.show(ended[0].id)).result
            if len(ended) > 1 or result != f"to {prefix}":
                return f"{prefix} has {len(ended)} runs, the first with {result!r}"
    return ""
