"""Agents that are shown pictures and documents, big ones too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from layby import Agent, AgentContext, App, Network, Step
from layby.models import Document, Image, Message, ModelRequest, Text
from layby.testing import ScriptedModel, TestRuntime

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
ADDRESS = "https://example.com/screen.png"
MANUAL = Document(data=b"%PDF-1.7" + b"x" * 200_000, name="manual.pdf")


def show(ctx: AgentContext[Any], request: ModelRequest) -> ModelRequest:
    return request.showing(Image(url=ctx.state["screenshot"]), MANUAL)


async def test_an_agent_is_shown_what_its_state_names(layby_running: Running) -> None:
    model = ScriptedModel(["It is the cable."])
    looker = Agent("Looker", on_start=show)
    desk = Network(
        "desk",
        agents=[looker],
        router=lambda route: None if route.turns else looker,
        default_model=model,
    )
    app = App("pictures", networks=[desk])

    @app.workflow(on="pictures.opened", key="id")
    async def look(event: dict[str, Any], step: Step) -> str:
        result = await step.network(desk, "What is wrong?", state={"screenshot": event["url"]})
        return result.text

    async with layby_running(app) as rt:
        await rt.send("pictures.opened", {"id": "P1", "url": ADDRESS})
        assert await rt.result() == "It is the cable."
        history = await rt.record()
    [message] = model.requests[0].messages
    assert message.parts == [Text(text="What is wrong?"), Image(url=ADDRESS), MANUAL]
    assert max(len(str(entry)) for entry in history.messages) < 10_000


async def test_a_recorded_message_may_hold_a_big_picture(layby_running: Running) -> None:
    async def draw() -> Message:
        return Message(role="user", parts=[Image(data=b"\x89PNG\r\n" + b"x" * 200_000)])

    async def size(message: Message) -> int:
        [picture] = message.parts
        assert isinstance(picture, Image)
        return len(picture.data)

    app = App("pictures")

    @app.workflow(on="pictures.drawn", key="id")
    async def keep(event: dict[str, Any], step: Step) -> int:
        message = await step.run("draw", draw)
        await step.ask("developer", f"Keep {event['id']}?")
        return await step.run("size", size, message)

    async with layby_running(app) as rt:
        await rt.send("pictures.drawn", {"id": "P1"})
        await rt.answer("P1", "yes")
        assert await rt.result() == 200_006
        history = await rt.record()
    assert len(history.values) == 1
    assert max(len(str(entry)) for entry in history.messages) < 10_000
