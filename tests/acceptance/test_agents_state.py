"""The state of a network and of its agents: typed, validated, recorded, each run's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, Field

from layby import Agent, AgentContext, Network, Route, Step, ToolContext, tool
from layby.models import ModelRequest
from layby.tools import ask_developer
from tests.engine import Engine, app_of, desk, once
from tests.scripted import Scripted, asks, calls, results, says

pytestmark = pytest.mark.nats


class Case(BaseModel):
    """What a desk knows of a case."""

    facts: list[str] = []
    level: int = Field(default=0, ge=0, le=3)
    due: date | None = None


@dataclass
class Tally:
    n: int = 0
    names: list[str] = field(default_factory=list[str])


@tool
def note(ctx: ToolContext[Case], fact: str) -> str:
    """Note a fact."""
    ctx.state.facts.append(fact)
    return f"{len(ctx.state.facts)} facts"


@tool
def raise_level(ctx: ToolContext[Case], by: int) -> int:
    """Raise the level."""
    ctx.state.level += by
    return ctx.state.level


async def finished(engine: Engine, network: Network[Case], state: Any = None) -> Any:
    async def handle(event: dict[str, Any], step: Step) -> dict[str, Any]:
        del event
        result = await step.network(network, "Work", state=state)
        assert isinstance(result.state, Case)
        return {"state": result.state, "calls": [c.content for t in result.turns for c in t.calls]}

    async with engine.works(app_of(handle, network)):
        return await engine.result(await engine.start())


async def test_a_model_as_state_is_seen_by_all_and_changed_by_tools(engine: Engine) -> None:
    seen: list[Case] = []

    def route(route: Route[Case]) -> str | None:
        seen.append(route.state)
        return "A" if not route.turns else None

    def system(ctx: AgentContext[Case]) -> str:
        return f"Level {ctx.state.level}, {len(ctx.state.facts)} facts."

    model = Scripted(
        calls(("note", {"fact": "one"})),
        calls(("note", {"fact": "two"}), ("raise_level", {"by": 2})),
        says("Done."),
    )
    agent = Agent("A", system=system, tools=[note, raise_level])
    network = Network("n", agents=[agent], router=route, state=Case, default_model=model)
    opening = Case(due=date(2026, 1, 2))
    result = await finished(engine, network, opening)
    assert result["state"] == {"facts": ["one", "two"], "level": 2, "due": "2026-01-02"}
    assert result["calls"] == ["1 facts", "2 facts", "2"]
    assert [request.system for request in model.requests] == [
        *("Level 0, 0 facts.", "Level 0, 1 facts.", "Level 2, 2 facts.")
    ]
    assert seen[0] == opening
    assert seen[1].facts == ["one", "two"]
    assert opening.facts == []


async def test_a_change_that_does_not_fit_is_an_error_and_changes_nothing(engine: Engine) -> None:
    model = Scripted(calls(("raise_level", {"by": 9})), calls(("note", {"fact": "x"})), says("."))
    agent = Agent("A", tools=[raise_level, note])
    network = Network("n", agents=[agent], router=once, state=Case, default_model=model)
    result = await finished(engine, network)
    assert result["state"]["level"] == 0
    [shown] = results(model.requests[1])
    assert shown.is_error
    assert shown.content.startswith("the state no longer fits: level: Input should be less")


async def test_a_dataclass_may_be_a_state(engine: Engine) -> None:
    @tool
    def count(ctx: ToolContext[Tally], name: str) -> None:
        ctx.state.n += 1
        ctx.state.names.append(name)

    model = Scripted(calls(("count", {"name": "a"})), calls(("count", {"name": "b"})), says("."))
    network = Network(
        "n", agents=[Agent("A", tools=[count])], router=once, state=Tally, default_model=model
    )

    async def handle(event: dict[str, Any], step: Step) -> Tally:
        del event
        return (await step.network(network, "Count", state={"n": 5})).state

    async with engine.works(app_of(handle, network)):
        assert await engine.result(await engine.start()) == {"n": 7, "names": ["a", "b"]}


async def test_an_initial_state_that_does_not_fit_blocks_the_run(engine: Engine) -> None:
    network = Network("n", agents=[Agent("A")], router=once, state=Case)

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.network(network, "Work", state={"level": "high"})

    async with engine.works(app_of(handle, network)):
        block = await engine.blocked(await engine.start())
    assert block.reason.startswith("the initial state does not fit: level: ")


async def test_no_run_sees_the_state_of_another(engine: Engine) -> None:
    def line(request: ModelRequest) -> Any:
        first = not any(m.role == "assistant" for m in request.messages)
        return calls(("note", {"fact": "x"})) if first else says(".")

    network = Network(
        "n",
        agents=[Agent("A", tools=[note])],
        router=once,
        state=Case,
        default_model=Scripted(line),
    )
    opening = Case()

    async def handle(event: dict[str, Any], step: Step) -> Case:
        del event
        return (await step.network(network, "Work", state=opening)).state

    async with engine.works(app_of(handle, network)):
        for ticket in ("a", "b"):
            result = await engine.result(await engine.start(ticket))
            assert result["facts"] == ["x"]


async def test_a_dicts_inner_values_are_recorded_too(engine: Engine) -> None:
    @tool
    def deep(ctx: ToolContext) -> None:
        ctx.state.setdefault("seen", {}).setdefault("list", []).append(1)

    model = Scripted(calls(("deep", {})), calls(("deep", {})), says("."))
    async with engine.works(desk(Agent("A", tools=[deep]), model=model)):
        result = await engine.result(await engine.start())
    assert result["state"] == {"seen": {"list": [1, 1]}}


# -- an agent's own ----------------------------------------------------------------------------


@tool
def remember(ctx: ToolContext, what: str) -> list[str]:
    """Remember something."""
    ctx.agent_state["memories"] = [*ctx.agent_state.get("memories", []), what]
    memories: list[str] = ctx.agent_state["memories"]
    return memories


async def test_an_agents_state_is_its_own_and_outlives_its_turn(engine: Engine) -> None:
    def route(route: Route) -> str | None:
        return ["A", "B", "A", None][len(route.turns)]

    def system(ctx: AgentContext) -> str:
        return ",".join(ctx.agent_state.get("memories", []))

    model = Scripted(
        *(calls(("remember", {"what": "a1"})), says(".")),
        *(calls(("remember", {"what": "b1"})), says(".")),
        *(calls(("remember", {"what": "a2"})), says(".")),
    )
    agents = [Agent(name, tools=[remember], system=system) for name in ("A", "B")]
    network = Network("n", agents=agents, router=route, default_model=model)

    async def handle(event: dict[str, Any], step: Step) -> Any:
        del event
        result = await step.network(network, "Remember")
        return {"own": result.agent_states, "shared": result.state}

    async with engine.works(app_of(handle, network)):
        result = await engine.result(await engine.start())
    assert result == {
        "own": {"A": {"memories": ["a1", "a2"]}, "B": {"memories": ["b1"]}},
        "shared": {},
    }
    assert [r.system for r in model.requests] == ["", "a1", "", "b1", "a1", "a1,a2"]


async def test_state_survives_the_wait_for_a_person(engine: Engine) -> None:
    both = calls(("note", {"fact": "x"}), ("ask_developer", {"question": "?"}))
    model = Scripted(both, asks("And?"), says("."))
    agent = Agent("A", tools=[note, ask_developer])
    network = Network("n", agents=[agent], router=once, state=Case, default_model=model)

    async def handle(event: dict[str, Any], step: Step) -> Case:
        del event
        return (await step.network(network, "Work")).state

    async with engine.works(app_of(handle, network)):
        run = await engine.start()
        first = await engine.question()
    async with engine.works(app_of(handle, network)):
        await engine.answer(text="one", question_id=first.id)
        await engine.told(run, "question.answered")
        await engine.question()
        await engine.answer(text="two")
        assert (await engine.result(run))["facts"] == ["x"]
