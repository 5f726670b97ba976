"""A tool that waits is entered again: what it does before its first step then happens again."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog

from layby import Agent, App, Step, ToolContext, tool
from layby.testing import RunsAgain, ScriptedModel, calls, running
from layby.tools import ask_developer
from tests.engine import Engine, app_of
from tests.scripted import Scripted, says
from tests.scripted import calls as scripted_calls

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

Told = list[tuple[str, str]]


async def told_of(engine: Engine, clerk: Agent) -> Told:
    """Let an agent work whose tool asks; the warnings of the workers, and what it was told."""

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.agent(clerk, "Go")

    app = app_of(handle, agents=[clerk])
    with structlog.testing.capture_logs() as logs:
        async with engine.works(app):
            run = await engine.start("T1")
            await engine.question(run=run)
        async with engine.works(app):
            await engine.answer("T1", "yes")
            await engine.result(run)
    return [(each["tool"], each["advice"]) for each in logs if each["event"] == "tool.ran_again"]


async def test_an_effect_before_a_wait_happens_again_and_the_worker_logs_it(
    engine: Engine,
) -> None:
    sent: list[str] = []

    @tool
    async def ask_boss(ctx: ToolContext, question: str) -> str:
        """Ask the boss."""
        await asyncio.to_thread(sent.append, question)  # a message in a chat
        return (await ctx.step.ask("developer", question)).text

    model = Scripted(scripted_calls(("ask_boss", {"question": "May I?"})), says("Done."))
    [(name, advice)] = await told_of(engine, Agent("Clerk", tools=[ask_boss], model=model))
    assert sent == ["May I?"] * 2
    assert name == "ask_boss"
    assert "ctx.step.run" in advice


async def test_an_effect_in_a_step_happens_once_and_nothing_is_logged(engine: Engine) -> None:
    sent: list[str] = []

    async def send(text: str) -> None:
        await asyncio.to_thread(sent.append, text)

    @tool
    async def ask_boss(ctx: ToolContext, question: str) -> str:
        """Ask the boss."""
        await ctx.step.run("send", send, question)
        return (await ctx.step.ask("developer", question)).text

    model = Scripted(scripted_calls(("ask_boss", {"question": "May I?"})), says("Done."))
    assert await told_of(engine, Agent("Clerk", tools=[ask_boss], model=model)) == []
    assert sent == ["May I?"]


async def test_a_tool_that_only_waits_causes_no_warning(engine: Engine) -> None:
    model = Scripted(scripted_calls(("ask_developer", {"question": "May I?"})), says("Done."))
    assert await told_of(engine, Agent("Clerk", tools=[ask_developer], model=model)) == []


def app_with(before: Callable[[], Awaitable[None]]) -> App:
    @tool
    async def ask_boss(ctx: ToolContext) -> str:
        """Ask the boss."""
        await before()
        return (await ctx.step.ask("developer", "May I?")).text

    clerk = Agent("Clerk", tools=[ask_boss], model=ScriptedModel([calls("ask_boss"), "Done."]))
    app = App("desk", agents=[clerk])

    @app.workflow(on="desk.asked", key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.agent(clerk, "Go")).text

    return app


async def answered(app: App) -> None:
    async with running(app) as rt:
        await rt.send("desk.asked", {"ticket": "T1"})
        await rt.question()
        await rt.answer("T1", "yes")
        await rt.result("T1")


async def test_the_test_kit_warns_of_it() -> None:
    async def chat() -> None:
        await asyncio.to_thread(len, "a message in a chat")

    with pytest.warns(RunsAgain, match="tool 'ask_boss' did something before its first step"):
        await answered(app_with(chat))


async def test_the_test_kit_does_not_warn_about_quick_code() -> None:
    async def think() -> None:
        """Nothing is waited for."""

    with warnings.catch_warnings():
        warnings.simplefilter("error", RunsAgain)
        await answered(app_with(think))
