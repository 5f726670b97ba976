"""Where prompts are kept: they are encrypted and removed with their run, and outlive a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from layby import Agent, App, Keyring, Network, Step
from layby.bus.errors import KeyMissing
from layby.bus.keyring import new_key
from layby.bus.reading import every
from layby.client import NoSuchRun
from layby.testing import TestRuntime, replay
from layby.views.prompts import PromptReader
from tests.engine import ON, WORKFLOW, Engine, once, until
from tests.fix_layby import Desk
from tests.scripted import Scripted, says

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
CANARY = "zq7canary"
STEP = "desk/turn#0.0/model#0"
LONG = f"{CANARY} " + "word " * 30_000


def telling(ring: Keyring | None, **options: Any) -> App:
    """An app that has the canary in a prompt alone."""
    agent = Agent("Clerk", system=LONG)
    desk = Network(
        "desk", agents=[agent], default_model=Scripted(lambda _: says("Hi")), router=once
    )

    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.network(desk, f"Say hi to {event['ticket']}")).text

    app = App("desk", networks=[desk], encryption=ring, **options)
    app.workflow(on=ON, key="ticket", name=WORKFLOW)(handle)
    return app


@pytest.fixture
def ring() -> Keyring:
    return Keyring(dict([new_key("k1").split(":", 1)]))


@pytest.fixture
async def engine(clean_nats: str, ring: Keyring) -> AsyncIterator[Engine]:
    async with Engine.at(clean_nats, ring) as engine:
        yield engine


async def stored(engine: Engine) -> set[str]:
    """The streams in which the canary can be read."""
    names: list[str] = (await engine.wire.api("STREAM.NAMES", {})).get("streams") or []
    return {
        name
        for name in names
        async for message in every(engine.wire, name, ">")
        if CANARY.encode() in message.data
    }


@pytest.mark.parametrize("encrypted", [True, False])
async def test_a_prompt_is_encrypted_with_its_run(
    engine: Engine, ring: Keyring, clean_nats: str, *, encrypted: bool
) -> None:
    async with engine.works(telling(ring if encrypted else None)):
        run = await engine.start()
        await engine.result(run)
    prompt = await engine.client.prompt(run, STEP)
    assert prompt.system == LONG
    assert bool(await stored(engine)) is not encrypted
    if encrypted:
        async with Engine.at(clean_nats) as stranger:
            with pytest.raises(KeyMissing):
                await stranger.client.prompt(run, STEP)


async def test_a_purge_removes_it(engine: Engine) -> None:
    async with engine.works(telling(None)):
        run = await engine.start()
        await engine.result(run)

        async def listed() -> bool:
            return bool(await engine.client.runs(status="completed"))

        await until(listed)
        assert await stored(engine)
        assert (await engine.client.purge(0)).runs == 1
        assert await stored(engine) == set()
        with pytest.raises(NoSuchRun):
            await engine.client.prompt(run, STEP)


async def test_a_history_replays_with_prompts_and_with_none(layby_running: Running) -> None:
    for app in (telling(None), telling(None, record_prompts=False)):
        recorded = app.record_prompts
        async with layby_running(app) as rt:
            run = await rt.send(ON, {"ticket": "T1"})
            assert await rt.result(run) == "Hi"
            history = await rt.client.record(run)
        assert (CANARY in str(history.values)) is recorded
        for again in (telling(None), telling(None, record_prompts=False)):
            await replay(again, history)


@pytest.mark.parametrize(
    ("point", "after"),
    [("before_effect", 1), ("after_effect", 1), ("after_effect", 2), ("after_append", 2)],
)
async def test_a_crash_leaves_one_for_each_response(
    layby_running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, after: int
) -> None:
    monkeypatch.setenv("AGENTS_LEDGER", str(tmp_path / "ledger"))
    async with layby_running("tests.agents_app:app", workers=0) as rt:
        run = await rt.send("agents.work", {"ticket": "T1"})
        await rt.crash(point, after=after)
        async with rt.worker():
            await rt.question()
            await rt.answer("T1", "approve")
            await rt.result("T1")
        _, messages = await rt.client._load(run)  # pyright: ignore[reportPrivateUsage]
        reader = PromptReader(run)
        reader.read(messages)
        counted = Counter(each.step.rpartition("/")[2] for each in reader.found)
        assert counted == {"model#0": 1, "model#1": 1}
        prompts = [await rt.client.prompt(run, each.step) for each in reader.found]
    first, second = prompts
    assert second.messages[: second.new_from] == first.messages
    assert "paid 50" in second.messages[-1].parts[0].text


AGENTS = """
from layby import Agent, App, Network
from layby.testing import ScriptedModel

clerk = Agent("Clerk", system="Help.\\x1b[31m")
model = ScriptedModel(lambda request: "Hi")
desk = Network("desk", agents=[clerk], default_model=model,
               router=lambda route: None if route.turns else clerk)
app = App("desk", networks=[desk])

@app.workflow(on="desk.opened", key="id")
async def handle(event, step):
    return (await step.network(desk, "Where is it?")).text
"""


async def test_the_command_shows_it(tmp_path: Path, clean_nats: str) -> None:
    (tmp_path / "agents.py").write_text(AGENTS)
    desk = Desk(tmp_path, clean_nats)
    try:
        desk.json("provision", "agents:app")
        desk.start_worker(app="agents:app")
        desk.json("send", "desk.opened", '{"id": "T1"}')
        desk.ended("T1")
        found = desk.json("show", "T1", "--prompt", STEP)
        assert (found["form"], found["body"]["system"]) == ("layby", "Help.\x1b[31m")
        shown = desk.run("show", "T1", "--prompt", str(found["n"])).stdout
        assert "1 messages, 1 new" in shown
        assert "Where is it?" in shown
        assert "\x1b[31m" not in shown
        failed = desk.json("show", "T1", "--prompt", "desk/route#0", code=1)
        assert STEP in failed["error"]["message"]
    finally:
        desk.stop_workers()
