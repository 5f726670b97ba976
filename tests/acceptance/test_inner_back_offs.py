"""Steps within steps that are tried again much later: in tools, and in routing decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from layby import Agent, App, RetryAfter, RoutingAgent, Tool, ToolContext, tool
from layby.actors.networks.router import Router
from layby.models import ModelError
from layby.testing import ScriptedModel, TestRuntime, calls
from layby.tools.mcp import McpLost
from tests.engine import ON, desk

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
LATER = 3600.0


def working(model: ScriptedModel, *tools: Any, router: Router | RoutingAgent | None = None) -> App:
    return desk(Agent("A", tools=tools, model=model), router=router)


async def text(rt: TestRuntime) -> Any:
    return (await rt.result())["text"]


@pytest.mark.parametrize("before", [[], ["look"]])
async def test_a_step_in_a_tool_is_tried_again_and_again(
    layby_running: Running, before: list[str]
) -> None:
    tried: list[str] = []

    async def charge() -> str:
        tried.append("charge")
        if tried.count("charge") < 3:
            raise RetryAfter(LATER)
        return "paid"

    async def look() -> None:
        tried.append("look")

    @tool
    async def pay(ctx: ToolContext) -> str:
        """Pay."""
        if before:
            await ctx.step.run("look", look)
        return await ctx.step.run("charge", charge)

    async with layby_running(working(ScriptedModel([calls("pay"), "Done."]), pay)) as rt:
        await rt.send(ON, {"ticket": "T1"})
        for _ in range(2):
            assert (await rt.advance()).kind == "step"
        assert await text(rt) == "Done."
    assert tried == before + ["charge"] * 3


async def test_two_parallel_tools_are_retried(layby_running: Running) -> None:
    tried: list[str] = []

    @tool
    async def pay(ctx: ToolContext, whom: str) -> str:
        """Pay somebody."""

        async def charge() -> str:
            tried.append(whom)
            if tried.count(whom) == 1:
                raise RetryAfter(LATER)
            return f"paid {whom}"

        return await ctx.step.run("charge", charge)

    model = ScriptedModel([calls(("pay", {"whom": "ann"}), ("pay", {"whom": "bob"})), "Done."])
    async with layby_running(working(model, pay)) as rt:
        await rt.send(ON, {"ticket": "T1"})
        for _ in range(2):
            assert (await rt.advance()).kind == "step"
        assert await text(rt) == "Done."
    assert sorted(tried) == ["ann", "ann", "bob", "bob"]


async def test_a_router_that_looks_things_up_is_asked_again(layby_running: Running) -> None:
    @tool
    def duty() -> str:
        """Who is on duty."""
        return "A"

    busy = ModelError("too many requests", retryable=True, retry_after=LATER)
    boss = ScriptedModel(
        [busy, calls("duty"), busy, calls("route_to_agent", agent="A"), calls("done")]
    )
    router = RoutingAgent("Boss", tools=[duty], model=boss)
    async with layby_running(working(ScriptedModel(["Hi."]), router=router)) as rt:
        await rt.send(ON, {"ticket": "T1"})
        for _ in range(2):
            assert (await rt.advance()).kind == "step"
        assert await text(rt) == "Hi."
    assert boss.left == 0


class Shaky:
    """A source of one tool that cannot be reached at first."""

    name = "shaky"

    def __init__(self, tool: Tool[..., Any], failures: int) -> None:
        self._tool = tool
        self.failures = failures
        self.is_open = True

    async def list_tools(self) -> Sequence[Tool[..., Any]]:
        if self.failures:
            self.failures -= 1
            raise McpLost("it cannot be reached")
        return [self._tool]

    async def aclose(self) -> None:
        self.is_open = False


async def test_a_routers_source_of_tools_is_asked_again(layby_running: Running) -> None:
    @tool
    def duty() -> str:
        """Who is on duty."""
        return "A"

    source = Shaky(duty, failures=2)
    boss = ScriptedModel([calls("duty"), calls("route_to_agent", agent="A"), calls("done")])
    router = RoutingAgent("Boss", tools=[source], model=boss)
    async with layby_running(working(ScriptedModel(["Hi."]), router=router)) as rt:
        await rt.send(ON, {"ticket": "T1"})
        while source.failures:
            assert (await rt.advance()).name == "route#0/tools"
        assert await text(rt) == "Hi."
        was_open = source.is_open
    assert (was_open, source.is_open) == (True, False)


async def test_a_source_may_not_name_its_tools_as_the_routers_own(layby_running: Running) -> None:
    @tool(name="done")
    def finish() -> str:
        """Finish."""
        return "finished"

    source = Shaky(finish, failures=0)
    router = RoutingAgent("Boss", tools=[source], model=ScriptedModel([]))
    async with layby_running(working(ScriptedModel([]), router=router)) as rt:
        await rt.send(ON, {"ticket": "T1"})
        ended = await rt.ended()
    assert ended.status == "blocked"
    assert "rename your tool 'done'" in (ended.error or "")
