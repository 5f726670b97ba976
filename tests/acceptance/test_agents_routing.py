"""Routing agents with tools and hooks, the default router, and budgets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import (
    Agent,
    BudgetSpent,
    Done,
    Network,
    Route,
    RoutingAgent,
    Step,
    Tokens,
    ToolContext,
    tool,
)
from layby.actors.threads.turn import Decision
from layby.runtime.errors import InvalidSetup
from layby.tools import ask_developer
from tests.engine import Engine, app_of, desk, once
from tests.scripted import Scripted, asks, calls, done, results, routes, says

pytestmark = pytest.mark.nats


async def test_without_a_router_a_model_chooses(engine: Engine) -> None:
    model = Scripted(routes("B", reason="b knows"), says("B is done"), done("All done"))
    network = Network("n", agents=[Agent("A"), Agent("B")], default_model=model)

    async def handle(event: dict[str, Any], step: Step) -> Any:
        del event
        result = await step.network(network, "?")
        return [turn.agent for turn in result.turns], result.text

    async with engine.works(app_of(handle, network)):
        assert await engine.result(await engine.start()) == [["B"], "B is done"]
    assert [spec.name for spec in model.requests[0].tools] == ["route_to_agent", "done"]


async def test_a_routing_agent_may_look_things_up_and_ask_before_it_decides(
    engine: Engine,
) -> None:
    looked: list[str] = []

    @tool
    def look_up(ctx: ToolContext, name: str) -> str:
        """Look up who is on duty."""
        looked.append(name)
        ctx.state["on_duty"] = "B"
        return "B is on duty"

    boss = Scripted(
        calls(("look_up", {"name": "duty"}), ("route_to_agent", {"agent": "A"})),
        asks("Is B well?"),
        routes("B"),
        done(),
    )
    router = RoutingAgent("Boss", tools=[look_up, ask_developer], model=boss)
    seen: list[str] = []

    def system(ctx: Any) -> str:
        seen.append(ctx.state["on_duty"])
        return ""

    agents = [Agent(name, model=Scripted(says("ok")), system=system) for name in ("A", "B")]
    app = desk(*agents, router=router)
    async with engine.works(app):
        run = await engine.start()
        assert (await engine.question()).agent == "Boss"
    async with engine.works(app):
        await engine.answer()
        result = await engine.result(run)
    assert [name for name, *_ in result["turns"]] == ["B"]
    assert result["state"] == {"on_duty": "B"}
    assert looked == ["duty"]
    assert boss.paid == 4
    assert result["usage"] == 50
    shown = results(boss.requests[1])
    assert [(r.name, r.is_error) for r in shown] == [("look_up", False), ("route_to_agent", True)]
    assert seen == ["B"]


async def test_a_routing_agent_that_never_decides_fails_the_run(engine: Engine) -> None:
    @tool
    def dither() -> None:
        """Think about it."""

    boss = Scripted(lambda _request: calls(("dither", {})))
    router = RoutingAgent("Boss", tools=[dither], model=boss, max_steps=3)
    async with engine.works(desk(Agent("A"), router=router)):
        state = await engine.ended(await engine.start())
    assert state.status == "failed"
    assert state.error == "routing agent 'Boss' did not decide within 3 responses"
    assert boss.paid == 3


def test_a_router_s_own_tools_have_names_of_their_own() -> None:
    @tool(name="done")
    def finish() -> None: ...

    with pytest.raises(InvalidSetup, match="rename your tool 'done'"):
        RoutingAgent("Boss", tools=[finish])


async def test_on_route_may_change_a_decision(engine: Engine) -> None:
    decided: list[list[str]] = []

    async def on_route(route: Route, decision: Decision) -> Any:
        decided.append(decision.agents)
        return Done("enough") if route.turns else ("A" if decision.agents == ["B"] else None)

    router = RoutingAgent("Boss", model=Scripted(routes("B"), routes("B")), on_route=on_route)
    agents = [Agent(name, model=Scripted(says(f"I am {name}"))) for name in ("A", "B")]
    async with engine.works(desk(*agents, router=router)):
        result = await engine.result(await engine.start())
    assert result["turns"] == [["A", "I am A", "done"]]
    assert decided == [["B"], ["B"]]
    assert result["usage"] == 30


async def test_a_function_may_leave_the_decision_to_a_model(engine: Engine) -> None:
    boss = RoutingAgent("Boss", model=Scripted(routes("B"), done()))

    def route(route: Route) -> Any:
        return "A" if not route.turns else boss

    agents = [Agent(name, model=Scripted(says("ok"))) for name in ("A", "B")]
    async with engine.works(desk(*agents, router=route)):
        result = await engine.result(await engine.start())
    assert [name for name, *_ in result["turns"]] == ["A", "B"]


# -- budgets -----------------------------------------------------------------------------------


async def spent(engine: Engine, network: Network) -> Any:
    async def handle(event: dict[str, Any], step: Step) -> str:
        if event.get("catch"):
            try:
                await step.network(network, "Work")
            except BudgetSpent as error:
                return str(error)
        return (await step.network(network, "Work")).text

    async with engine.works(app_of(handle, network)):
        caught = await engine.result(await engine.start(catch=True))
        state = await engine.ended(await engine.start())
    assert state.status == "budget_spent"
    assert state.error == caught
    return caught


@tool
def work() -> None:
    """Work on."""


async def test_a_budget_ends_a_turn_between_its_steps(engine: Engine) -> None:
    model = Scripted(lambda _request: calls(("work", {})))  # 11 tokens each
    network = Network(
        "n", agents=[Agent("A", tools=[work], model=model)], router=once, budget=Tokens(30)
    )
    assert await spent(engine, network) == "network 'n' has used 33 tokens; its budget is 30"
    assert model.paid == 6


async def test_a_budget_ends_a_network_between_turns(engine: Engine) -> None:
    model = Scripted(lambda _request: says("again"))
    network = Network(
        "n", agents=[Agent("A", model=model)], router=lambda _route: "A", budget=Tokens(20)
    )
    assert await spent(engine, network) == "network 'n' has used 22 tokens; its budget is 20"


async def test_a_budget_applies_to_a_nested_network(engine: Engine) -> None:
    model = Scripted(lambda _request: says("again"))
    inner = Network("inner", agents=[Agent("A", model=model)], router=lambda _route: "A")
    outer = Network("outer", agents=[inner], router=once, budget=Tokens(20))
    assert await spent(engine, outer) == "network 'outer' has used 22 tokens; its budget is 20"
    own = Network("own", agents=inner.agents, router=lambda _route: "A", budget=Tokens(20))
    around = Network("around", agents=[own], router=once, budget=Tokens(30))
    assert await spent(engine, around) == "network 'own' has used 22 tokens; its budget is 20"


async def test_a_budget_applies_to_agents_as_tools(engine: Engine) -> None:
    expert = Agent("Expert", tools=[work], model=Scripted(lambda _request: calls(("work", {}))))
    model = Scripted(lambda _request: calls(("ask_expert", {"task": "?"})))
    agent = Agent("A", tools=[expert.as_tool()], model=model)
    network = Network("n", agents=[agent], router=once, budget=Tokens(30))
    assert await spent(engine, network) == "network 'n' has used 33 tokens; its budget is 30"
    shown = results(model.requests[-1]) if model.paid > 2 else []
    assert not shown  # nobody is asked once the expert has used it up


async def test_a_budget_applies_to_the_routers_model(engine: Engine) -> None:
    boss = Scripted(lambda _request: routes("A"))
    model = Scripted(lambda _request: says("Hi."))
    network = Network(
        "n",
        agents=[Agent("A", model=model)],
        router=RoutingAgent("B", model=boss),
        budget=Tokens(20),
    )
    assert await spent(engine, network) == "network 'n' has used 22 tokens; its budget is 20"
    assert (boss.paid, model.paid) == (2, 2)  # in two runs


async def test_a_free_rule_may_end_a_network_without_tokens(engine: Engine) -> None:
    model = Scripted(says("Hi."))
    network = Network("n", agents=[Agent("A", model=model)], router=once, budget=Tokens(11))

    async def handle(event: dict[str, Any], step: Step) -> Any:
        del event
        result = await step.network(network, "Work")
        return result.status, result.text

    async with engine.works(app_of(handle, network)):
        assert await engine.result(await engine.start()) == ["done", "Hi."]


async def limited(engine: Engine, network: Network) -> Any:
    async def handle(event: dict[str, Any], step: Step) -> Any:
        del event
        result = await step.network(network, "Work")
        turns = [[turn.agent, turn.stop, len(turn.calls)] for turn in result.turns]
        return result.status, turns, result.state, result.usage.tokens

    async with engine.works(app_of(handle, network)):
        return await engine.result(await engine.start())


async def test_a_network_may_return_its_result_when_its_budget_is_spent(engine: Engine) -> None:
    @tool
    def note(ctx: ToolContext, fact: str) -> None:
        """Note a fact."""
        ctx.state["fact"] = fact

    model = Scripted(calls(("note", {"fact": "x"})), calls(("note", {"fact": "y"})))
    network = Network(
        "n",
        agents=[Agent("A", tools=[note], model=model)],
        router=once,
        budget=Tokens(20),
        at_limit="return",
    )
    assert await limited(engine, network) == [
        "budget_spent",
        [["A", "budget_spent", 2]],
        {"fact": "y"},
        22,
    ]


async def test_a_network_may_return_its_result_at_max_turns(engine: Engine) -> None:
    model = Scripted(lambda _request: says("again"))
    inner = Network(
        "inner",
        agents=[Agent("A", model=model)],
        router=lambda _route: "A",
        max_turns=2,
        at_limit="return",
    )
    assert await limited(engine, inner) == [
        "max_turns",
        [["A", "done", 0], ["A", "done", 0]],
        {},
        22,
    ]
    outer = Network("outer", agents=[inner], router=once)
    assert await limited(engine, outer) == ["done", [["inner", "max_turns", 0]], {}, 22]


async def test_an_enclosing_network_decides_about_its_own_budget(engine: Engine) -> None:
    model = Scripted(lambda _request: says("again"))
    inner = Network("inner", agents=[Agent("A", model=model)], router=lambda _route: "A")
    outer = Network("outer", agents=[inner], router=once, budget=Tokens(20), at_limit="return")
    assert await limited(engine, outer) == [
        "budget_spent",
        [["inner", "budget_spent", 0]],
        {},
        22,
    ]


async def test_a_parent_learns_that_its_childs_budget_is_spent(engine: Engine) -> None:
    model = Scripted(lambda _request: says("again"))
    network = Network(
        "n", agents=[Agent("A", model=model)], router=lambda _route: "A", budget=Tokens(20)
    )

    async def child(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.network(network, "Work")).text

    async def handle(event: dict[str, Any], step: Step) -> str:
        try:
            await step.workflow("child", event)
        except BudgetSpent as error:
            return str(error)
        return "no error"

    app = app_of(handle, network)
    app.workflow(on="desk.child", key="ticket", name="child")(child)
    async with engine.works(app):
        shown = await engine.result(await engine.start())
    assert shown == "network 'n' has used 22 tokens; its budget is 20"


def test_at_limit_must_be_raise_or_return() -> None:
    with pytest.raises(InvalidSetup, match="give 'raise' or 'return'"):
        Network("n", agents=[Agent("A")], at_limit="stop")  # type: ignore[arg-type]


# -- how much at a time ------------------------------------------------------------------------


async def test_the_parallel_tools_of_a_turn_are_limited(engine: Engine) -> None:
    busy, most = 0, 0

    @tool
    async def slow(n: int) -> int:
        """Take a moment."""
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        return n

    model = Scripted(calls(*(("slow", {"n": n}) for n in range(7))), says("Done."))
    agent = Agent("A", tools=[slow], max_parallel_tools=3)
    async with engine.works(desk(agent, model=model)):
        result = await engine.result(await engine.start())
    assert [content for _, content, _ in result["calls"]] == [str(n) for n in range(7)]
    assert most == 3


@pytest.mark.parametrize(("agents", "apps"), [(2, 64), (None, 2)])
async def test_the_parallel_turns_of_a_worker_are_limited(
    engine: Engine, agents: int | None, apps: int
) -> None:
    busy, most = 0, 0

    async def hold(ctx: Any) -> str:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.05)
        busy -= 1
        return str(ctx.ticket)

    model = Scripted(lambda _request: says("ok"))
    agent = Agent("A", system=hold, concurrency=agents)
    async with engine.works(desk(agent, model=model, concurrency=apps)):
        runs = [await engine.start(f"T{n}") for n in range(6)]
        for run in runs:
            await engine.result(run)
    assert most == 2
