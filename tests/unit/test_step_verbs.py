"""What users may call on a `Step`: verbs and nothing else, and each of them also in a script."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import layby
from layby import Agent, NeedsServer, ToolContext, tool
from layby.runtime.step import Step
from tests.scripted import Scripted, calls, says

FACTS = {"run_id", "ticket", "idempotency_key"}
"""What a body may know of its run."""
VERBS: dict[str, Callable[[Step], Any]] = {
    "ask": lambda step: step.ask("developer", "May I?"),
    "first": lambda step: step.first(step.run("one", lambda: 1), step.sleep(60)),
    "gather": lambda step: step.gather(step.run("one", lambda: 1), step.sleep(0.001)),
    "now": lambda step: step.now(),
    "random": lambda step: step.random(),
    "run": lambda step: step.run("one", lambda: 1),
    "send_event": lambda step: step.send_event("a.b", {}),
    "sleep": lambda step: step.sleep(0.001),
    "sleep_until": lambda step: step.sleep_until(datetime.now(UTC) + timedelta(milliseconds=1)),
    "uuid": lambda step: step.uuid(),
    "wait_for_event": lambda step: step.wait_for_event("a.b"),
    "workflow": lambda step: step.workflow("other", {}),
}
TAKES_A_SERVER = {"ask", "send_event", "wait_for_event", "workflow"}


def public(kind: type[Any]) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_a_step_has_verbs_and_no_internals() -> None:
    assert public(Step) == FACTS | set(VERBS)


def test_a_workflows_step_adds_verbs_and_no_internals() -> None:
    assert public(layby.Step) - public(Step) == {"agent", "network"}


@pytest.mark.parametrize("verb", VERBS)
async def test_every_verb_works_in_a_script_or_says_that_it_needs_a_server(verb: str) -> None:
    @tool
    async def use(ctx: ToolContext) -> str:
        """Use the verb."""
        assert type(ctx.step) is Step
        await VERBS[verb](ctx.step)
        return "it works"

    turn = Agent("A", tools=[use], model=Scripted(calls(("use", {})), says("ok"))).run("Go.")
    if verb in TAKES_A_SERVER:
        with pytest.raises(NeedsServer, match="server"):
            await turn
    else:
        assert [call.content for call in (await turn).calls] == ["it works"]


async def test_the_first_of_two_branches_wins_in_a_script() -> None:
    seen: list[str] = []

    async def slow(step: Step) -> str:
        await step.sleep(60)
        seen.append("the loser went on")
        return "slow"

    @tool
    async def race(ctx: ToolContext) -> Any:
        """Race."""
        return await ctx.step.first(slow(ctx.step), ctx.step.run("quick", lambda: "quick"))

    turn = await Agent("A", tools=[race], model=Scripted(calls(("race", {})), says("ok"))).run("Go")
    assert (turn.calls[0].content, seen) == ("quick", [])


async def test_a_step_fails_in_a_script_as_on_a_server() -> None:
    def broken() -> None:
        raise layby.NonRetriableError("the shelf is empty")

    @tool
    async def fetch(ctx: ToolContext) -> None:
        """Fetch."""
        await ctx.step.run("shelf", broken)

    turn = await Agent("A", tools=[fetch], model=Scripted(calls(("fetch", {})), says("ok"))).run("")
    assert turn.calls[0].content == "fetch failed: the shelf is empty"
