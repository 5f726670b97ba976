"""What people can mend blocks a run and never ends it: with real workers, deploys and kills."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Agent, App, Step
from layby.actors.model import ModelError, ModelRequest, ModelResponse, OnText
from layby.runtime.need import MISSING_KEY
from layby.runtime.state import RunState
from tests.engine import Engine, app_of, desk
from tests.scripted import says

pytestmark = pytest.mark.nats


class Locked:
    """A model that lets nobody in without a key."""

    name = "locked"

    def __init__(self, key: str) -> None:
        self._key = key
        self.asked = 0

    @property
    def key_missing(self) -> str:
        return "" if self._key else "there is no key"

    @property
    def key_mark(self) -> str:
        return self._key

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        del request, on_text
        self.asked += 1
        if not self._key:
            raise ModelError("there is no key", need=MISSING_KEY)
        return says("done")


def apps(effects: list[str], *, name: str) -> App:
    async def reserve() -> str:
        effects.append(name)
        return name

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        await step.run(name, reserve)
        answer = await step.ask("developer", "Ready?")
        effects.append("after")
        return answer.text

    return app_of(handle, version="1")


def blocks(state: RunState) -> list[str]:
    return [block.kind for _, block in state.blocked]


async def test_a_renamed_step_blocks_the_run_until_it_is_put_back(engine: Engine) -> None:
    effects: list[str] = []
    async with engine.works(apps(effects, name="reserve")):
        run = await engine.start()
        await engine.question(run=run)
    async with engine.works(apps(effects, name="book")):
        await engine.answer(text="go")
        block = await engine.blocked(run)
        assert (block.kind, "'reserve'" in block.reason) == ("code", True)
        [row] = await engine.client.runs("blocked")
        assert (row.id, row.reason, row.needs) == (run, block.reason, block.needs)
    assert effects == ["reserve"]


async def test_a_worker_with_the_key_takes_up_what_one_without_has_blocked(
    engine: Engine,
) -> None:
    without, with_ = Locked(""), Locked("k")
    async with engine.works(desk(Agent("A", model=without))):
        run = await engine.start()
        block = await engine.blocked(run)
        assert (block.kind, block.key, without.asked) == ("key", "model#0", 1)
        assert (await engine.client.show(run)).status == "blocked"
    async with engine.works(desk(Agent("A", model=with_))):
        assert (await engine.result(run))["text"] == "done"
    assert (without.asked, with_.asked) == (1, 1)


async def test_a_worker_that_is_up_takes_it_at_once(engine: Engine) -> None:
    without, with_ = Locked(""), Locked("k")
    async with (
        engine.works(desk(Agent("A", model=with_))),
        engine.works(desk(Agent("A", model=without))),
    ):
        for n in range(6):
            run = await engine.start(f"T{n}")
            assert (await engine.result(run))["text"] == "done"
