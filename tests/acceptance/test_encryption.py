"""What is encrypted at rest: nothing of it can be read in a stream without a key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from layby import Agent, App, Keyring, Network, Step, ToolContext, tool
from layby.bus.errors import KeyMissing
from layby.bus.keyring import new_key
from layby.bus.reading import every
from layby.bus.requests import Requests
from layby.history import nats_history
from tests.engine import Engine, app_of, once, until
from tests.scripted import Scripted, calls, says

pytestmark = [pytest.mark.nats, pytest.mark.timeout(60)]

CANARY = "zq7canary"
PLAIN = {"EVENTS", "QUESTIONS", "ANSWERS", "DEAD"}
"""Streams that people read and write with the nats CLI alone."""


def keyring(*ids: str) -> Keyring:
    return Keyring(dict(new_key(each).split(":", 1) for each in ids or ("k1",)))


@pytest.fixture
def ring() -> Keyring:
    return keyring()


@pytest.fixture
async def engine(clean_nats: str, ring: Keyring) -> AsyncIterator[Engine]:
    """Who looks on holds the keys."""
    async with Engine.at(clean_nats, ring) as engine:
        yield engine


@pytest.fixture
async def stranger(clean_nats: str) -> AsyncIterator[Engine]:
    """Who looks on without a key."""
    async with Engine.at(clean_nats) as engine:
        yield engine


async def stored(wire: Requests) -> dict[str, list[tuple[str, bytes]]]:
    """Every message of every stream, with its headers and subject."""
    names: list[str] = (await wire.api("STREAM.NAMES", {})).get("streams") or []
    found: dict[str, list[tuple[str, bytes]]] = {}
    for name in names:
        found[name] = [
            (message.headers["Nats-Subject"], message.data + str(message.headers).encode())
            async for message in every(wire, name, ">")
        ]
    return found


async def leaks(wire: Requests, canary: str = CANARY) -> set[str]:
    """Where the canary can be read, beside the streams that are plain by nature."""
    return {
        f"{stream}: {subject}"
        for stream, messages in (await stored(wire)).items()
        for subject, data in messages
        if stream not in PLAIN and canary.encode() in data
    }


@tool
async def look_up(what: str, ctx: ToolContext[Any]) -> str:
    """Look something up."""
    ctx.state["note"] = f"state {CANARY} {what}"
    return f"output {CANARY} " + "x" * 70_000


@tool
async def break_down(what: str) -> str:
    """Raise."""
    raise RuntimeError(f"exception {CANARY} {what}")


def telling(ring: Keyring | None, **more: Any) -> App:
    """An app that has the canary in everything."""
    model = Scripted(
        calls(
            ("look_up", {"what": f"input {CANARY}"}),
            ("break_down", {"what": CANARY}),
            text=f"thought {CANARY}",
        ),
        says(f"answer {CANARY}"),
    )
    agent = Agent("Clerk", tools=[look_up, break_down])
    desk = Network("desk", agents=[agent], default_model=model, router=once)

    async def handle(event: dict[str, Any], step: Step) -> dict[str, Any]:
        await step.run("memo", lambda: f"memo {CANARY}")
        found = await step.network(
            desk, f"{event['text']}", thread=f"T-{event['ticket']}", state={}
        )
        said = await step.ask("developer", "Which one?", context="Nothing secret.")
        child = await step.workflow("child", {"ticket": "T1", "text": f"child {CANARY}"})
        if event.get("fails"):
            raise ValueError(f"failed {CANARY}")
        return {"said": said.text, "text": found.text, "child": child, "big": "y" * 70_000}

    app = app_of(handle, desk, history=nats_history(), encryption=ring, **more)

    @app.workflow(on="desk.child", key="ticket", name="child")
    async def child(event: dict[str, Any], step: Step) -> str:
        await step.sleep(0.01)
        return f"{event['text']} is done"

    return app


async def test_nothing_can_be_read_without_a_key(engine: Engine, ring: Keyring) -> None:
    async with engine.works(telling(ring)):
        run = await engine.start(text=f"text {CANARY}")
        await engine.question(run=run)

        async def listed() -> bool:
            return bool(await engine.client.runs(ticket="T1"))

        await until(listed)
        assert await leaks(engine.wire) == set()
        await engine.answer("T1", f"said {CANARY}")
        result = await engine.result(run)
    assert result["said"] == f"said {CANARY}"
    assert result["text"] == f"answer {CANARY}"
    assert result["child"] == f"child {CANARY} is done"
    assert await leaks(engine.wire) == set()


async def test_a_plain_app_leaks_everywhere_else_the_canary_would_prove_nothing(
    engine: Engine, stranger: Engine
) -> None:
    async with stranger.works(telling(None)):
        run = await stranger.start(text=f"text {CANARY}")
        await stranger.question(run=run)
        await stranger.answer("T1", f"said {CANARY}")
        await stranger.result(run)
    found = {each.partition(":")[0] for each in await leaks(engine.wire)}
    assert {"RUNS", "THREADS", "BLOBS"} <= found


async def test_what_fails_is_encrypted_too_and_shown_to_who_holds_the_key(
    engine: Engine, ring: Keyring, stranger: Engine
) -> None:
    async with engine.works(telling(ring)):
        run = await engine.start(text="t", fails=True)
        await engine.question(run=run)
        await engine.answer("T1", "x")
        assert (await engine.ended(run)).status == "failed"

        async def failed() -> bool:
            return [row.status for row in await engine.client.runs(status="failed")] == ["failed"]

        await until(failed)
    assert await leaks(engine.wire) == set()
    [row] = await engine.client.runs(status="failed", text=CANARY)
    assert CANARY in row.reason
    [row] = await stranger.client.runs(status="failed")
    assert row.reason == "(encrypted)"
    assert await stranger.client.runs(status="failed", text=CANARY) == []


async def test_a_worker_without_the_key_leaves_the_run_to_one_that_has_it(
    engine: Engine, ring: Keyring, stranger: Engine
) -> None:
    async with engine.works(telling(ring)):
        run = await engine.start(text=f"text {CANARY}")
        await engine.question(run=run)
    async with stranger.works(telling(None)):
        await engine.drop("later")
        async with engine.works(telling(ring)):
            assert (await engine.result(run))["said"] == "later"
    dead = [message async for message in every(engine.wire, "DEAD", ">")]
    assert dead == []


async def test_a_run_that_began_plain_goes_on_plain(
    engine: Engine, ring: Keyring, stranger: Engine
) -> None:
    async with stranger.works(telling(None)):
        run = await stranger.start(text="t")
        await stranger.question(run=run)
    async with engine.works(telling(ring)):
        await engine.answer("T1", "yes")
        assert (await engine.result(run))["said"] == "yes"
        assert (await stranger.state(run)).status == "completed"


async def test_a_worker_does_not_start_without_a_key_that_data_is_under(engine: Engine) -> None:
    old = keyring("k1")
    async with engine.works(telling(old)):
        pass
    with pytest.raises(KeyMissing, match="'k1', which the keyring does not hold"):
        async with engine.works(telling(keyring("k2"))):
            pass
    with pytest.raises(KeyMissing, match="two keys have the same id"):
        async with engine.works(telling(keyring("k1"))):
            pass
