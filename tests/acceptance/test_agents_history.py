"""What a model is sent of earlier turns, as the network runs."""

from __future__ import annotations

import pytest

from layby import Agent, Past, Route, last_n
from layby.models import Message
from layby.tools import ask_developer
from tests.engine import Engine, desk
from tests.scripted import Scripted, asks, read, says

pytestmark = pytest.mark.nats


def three_turns(route: Route) -> str | None:
    return ["A", "B", "A", None][len(route.turns)]


async def test_an_agents_policy_chooses_what_its_model_sees(engine: Engine) -> None:
    models = {
        name: Scripted(says(f"{name} one"), says(f"{name} two"), name=name) for name in ("A", "B")
    }
    agents = [
        Agent("A", model=models["A"], history="own"),
        Agent("B", model=models["B"], history=last_n(0)),
    ]
    async with engine.works(desk(*agents, router=three_turns)):
        await engine.result(await engine.start())
    assert "B one" not in read(models["A"].requests[1])
    assert "A one" in read(models["A"].requests[1])
    assert "[1 earlier turn is left out.]" in read(models["B"].requests[0])


async def test_an_async_policy_is_asked_once_per_turn(engine: Engine) -> None:
    asked: list[int] = []

    async def summary(past: Past) -> list[Message]:
        asked.append(len(past.turns))
        return past.transcript([], note=f"Summary {len(asked)}.")

    model = Scripted(asks(), says("Done."))
    agent = Agent("A", model=model, tools=[ask_developer], history=summary)
    app = desk(agent)
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
    async with engine.works(app):
        await engine.answer()
        await engine.result(run)
    assert asked == [0]
    assert ["Summary 1." in read(request) for request in model.requests] == [True, True]
