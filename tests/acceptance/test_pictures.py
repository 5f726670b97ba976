"""Agents that are shown pictures and documents, big ones too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from layby import Agent, AgentContext, App, Done, Network, Route, RoutingAgent, Step, handoff
from layby.actors.models.model import Part
from layby.history import nats_history
from layby.models import Document, Image, Message, ModelRequest, Text
from layby.runtime.errors import InvalidSetup
from layby.testing import ScriptedModel, TestRuntime, calls, replay
from layby.tools import ask_developer

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


# -- given with the task ----------------------------------------------------------------------


SCREEN = Image(url=ADDRESS)
GIVEN: list[Part] = [Text(text="What is wrong?"), SCREEN, MANUAL]


def once(route: Route[Any]) -> str | None:
    return None if route.turns else next(iter(route.agents))


def opened(request: ModelRequest) -> list[Part]:
    return request.messages[0].parts


async def test_attachments_outlive_a_wait_and_are_stored_once(layby_running: Running) -> None:
    model = ScriptedModel(
        [
            calls("ask_developer", question="Which cable?"),
            calls("hand_off_to_second"),
            "It is the red one.",
        ]
    )
    first = Agent("First", tools=[ask_developer, handoff("Second")])
    desk = Network("desk", agents=[first, Agent("Second")], router=once, default_model=model)
    app = App("pictures", networks=[desk])

    async def fetch() -> list[Image | Document]:
        return [SCREEN, MANUAL]

    @app.workflow(on="pictures.opened", key="id")
    async def look(event: dict[str, Any], step: Step) -> str:
        del event
        attached = await step.run("fetch", fetch)
        result = await step.network(desk, "What is wrong?", attachments=attached)
        return result.text

    async with layby_running(app, workers=0) as rt:
        async with rt.worker():
            await rt.send("pictures.opened", {"id": "P1"})
            await rt.question()
        async with rt.worker():  # another, which has nothing in its memory
            await rt.answer("P1", "The red one")
            assert await rt.result() == "It is the red one."
        history = await rt.record()
    assert [opened(request) for request in model.requests] == [GIVEN] * 3
    assert max(len(str(entry)) for entry in history.messages) < 10_000
    assert len(history.values) == 2  # of the step, and of the network's input
    await replay(app, history)


async def test_routers_and_inner_networks_see_attachments(layby_running: Running) -> None:
    seen: list[Any] = []

    def route(route: Route[Any]) -> RoutingAgent | None:
        seen.append(route.attachments)
        return None if route.turns else shown

    def enough(route: Route[Any]) -> Done | None:
        return Done() if route.turns else None

    model = ScriptedModel(
        [calls("route_to_agent", agent="inner"), calls("route_to_agent", agent="Looker"), "Cable."]
    )
    shown = RoutingAgent("Shown")
    told = RoutingAgent("Told", sees_attachments=False, rules=[enough])
    inner = Network("inner", agents=[Agent("Looker")], router=told, default_model=model)
    outer = Network("outer", agents=[inner], router=route, default_model=model)
    app = App("pictures", networks=[outer])

    @app.workflow(on="pictures.opened", key="id")
    async def look(event: dict[str, Any], step: Step) -> str:
        del event
        result = await step.network(outer, "What is wrong?", attachments=[SCREEN, MANUAL])
        return result.text

    async with layby_running(app) as rt:
        await rt.send("pictures.opened", {"id": "P1"})
        assert await rt.result() == "Cable."
    outer_router, inner_router, looker = model.requests
    assert opened(outer_router) == opened(looker) == GIVEN
    assert seen == [[SCREEN, MANUAL]] * 2
    assert opened(inner_router) == [
        Text(
            text="What is wrong?\n"
            "[Attached: an image, https://example.com/screen.png]\n"
            "[Attached: manual.pdf, application/pdf]"
        )
    ]


async def test_a_thread_remembers_that_something_was_attached(layby_running: Running) -> None:
    model = ScriptedModel(["A cable.", "A manual."])
    desk = Network("desk", agents=[Agent("Looker")], router=once, default_model=model)
    app = App("pictures", networks=[desk], history=nats_history())

    @app.workflow(on="pictures.opened", key="id")
    async def look(event: dict[str, Any], step: Step) -> str:
        attached = [Image(data=b"\x89PNG\r\n")] if event["id"] == "P1" else []
        result = await step.network(desk, "What is it?", thread="T", attachments=attached)
        return result.text

    async with layby_running(app) as rt:
        for ticket, text in (("P1", "A cable."), ("P2", "A manual.")):
            await rt.send("pictures.opened", {"id": ticket})
            assert await rt.result() == text
    first, second = model.requests
    assert opened(first) == [Text(text="What is it?"), Image(data=b"\x89PNG\r\n")]
    assert [message.parts for message in second.messages] == [
        [Text(text="What is it?\n[Attached: an image, image/png]")],
        [Text(text="A cable.")],
        [Text(text="What is it?")],
    ]


async def test_an_agent_alone_is_shown_attachments() -> None:
    model = ScriptedModel(["A cable."])
    result = await Agent("Looker").run("What is wrong?", model=model, attachments=[SCREEN, MANUAL])
    assert opened(model.requests[0]) == result.messages[0].parts == GIVEN


async def test_what_is_no_attachment_is_refused(layby_running: Running) -> None:
    model = ScriptedModel([])
    desk = Network("desk", agents=[Agent("Looker")], router=once, default_model=model)
    app = App("pictures", networks=[desk])

    @app.workflow(on="pictures.opened", key="id")
    async def look(event: dict[str, Any], step: Step) -> None:
        await step.network(desk, "What?", attachments=[event["url"]])

    async with layby_running(app) as rt:
        await rt.send("pictures.opened", {"id": "P1", "url": ADDRESS})
        ended = await rt.ended()
    assert ended.status == "blocked"
    wanted = "network 'desk': attachments are Image(...) and Document(...), not a str"
    assert wanted in (ended.error or "")
    with pytest.raises(InvalidSetup, match=r"agent 'Looker': attachments are Image\(\.\.\.\)"):
        await Agent("Looker").run("What?", model=model, attachments=[b"png"])  # type: ignore[list-item]
