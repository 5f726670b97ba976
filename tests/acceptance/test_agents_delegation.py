"""Agents as tools, handoffs, nested networks, parallel agents."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel

from layby import Agent, App, Network, Route, Step, ToolContext, handoff, tool
from layby.models import ModelRequest
from layby.runtime.errors import InvalidSetup
from layby.tools import ask_developer
from tests.engine import Engine, app_of, desk, once, until
from tests.scripted import Scripted, asks, calls, read, results, says

pytestmark = pytest.mark.nats


@tool
def note(ctx: ToolContext, fact: str) -> str:
    """Note a fact in the network's state."""
    ctx.state[fact] = ctx.agent
    return "noted"


# -- agents as tools ---------------------------------------------------------------------------


async def test_an_agent_as_a_tool_takes_a_turn_of_its_own(engine: Engine) -> None:
    expert = Agent(
        "Tax Expert",
        description="Knows taxes.",
        tools=[note],
        model=Scripted(calls(("note", {"fact": "vat"})), says("19 percent")),
    )
    model = Scripted(calls(("ask_tax_expert", {"task": "The VAT in Germany?"})), says("It is 19."))
    clerk = Agent("Clerk", tools=[expert.as_tool()], model=model)
    async with engine.works(desk(clerk, state={"n": 1})):
        run = await engine.start()
        result = await engine.result(run)
        lines = await engine.lines(run)
    assert result["text"] == "It is 19."
    assert result["calls"] == [["ask_tax_expert", "19 percent", False]]
    assert result["state"] == {"n": 1, "vat": "Tax Expert"}
    assert result["usage"] == 40
    assert [line.title for line in lines if line.kind == "turn.started"] == ["Clerk", "Tax Expert"]
    spec = model.requests[0].tools[0]
    assert "Knows taxes." in spec.description
    assert list(spec.parameters["properties"]) == ["task"]


async def test_an_agent_as_a_tool_may_wait_for_a_person(engine: Engine) -> None:
    expert_model = Scripted(asks("Really?"), says("The developer agrees"))
    expert = Agent("Expert", tools=[ask_developer], model=expert_model)
    model = Scripted(calls(("consult", {"task": "?"})), says("Done."))
    clerk = Agent("Clerk", tools=[expert.as_tool(name="consult")], model=model)
    app = desk(clerk)
    async with engine.works(app):
        run = await engine.start()
        assert (await engine.question()).agent == "Expert"
    async with engine.works(app):
        await engine.answer()
        result = await engine.result(run)
    assert result["calls"] == [["consult", "The developer agrees", False]]
    assert (model.paid, expert_model.paid) == (2, 2)


async def test_an_agent_as_a_tool_gives_its_output(engine: Engine) -> None:
    class Rate(BaseModel):
        percent: int

    expert = Agent(
        "Expert", output_type=Rate, model=Scripted(calls(("final_answer", {"percent": 19})))
    )
    model = Scripted(calls(("ask_expert", {"task": "?"})), says("Done."))
    async with engine.works(desk(Agent("Clerk", tools=[expert.as_tool()], model=model))):
        result = await engine.result(await engine.start())
    assert result["calls"] == [["ask_expert", '{"percent":19}', False]]


async def test_an_agent_as_a_tool_that_fails_is_an_error_for_the_caller(engine: Engine) -> None:
    expert = Agent("Expert", output_type=int, output_tries=1, model=Scripted(says("a lot")))
    model = Scripted(calls(("ask_expert", {"task": "?"})), says("I cannot say."))
    async with engine.works(desk(Agent("Clerk", tools=[expert.as_tool()], model=model))):
        result = await engine.result(await engine.start())
    [[_, shown, is_error]] = result["calls"]
    assert is_error
    assert "'Expert' gave no final answer" in shown


async def test_two_agents_as_tools_work_in_parallel(engine: Engine) -> None:
    experts = [
        Agent(name, tools=[ask_developer], model=Scripted(asks(f"{name}?"), says(f"{name} knows")))
        for name in ("A", "B")
    ]
    model = Scripted(calls(("ask_a", {"task": "?"}), ("ask_b", {"task": "?"})), says("Done."))
    clerk = Agent("Clerk", tools=[expert.as_tool() for expert in experts], model=model)
    async with engine.works(desk(clerk)):
        run = await engine.start()
        for question in reversed(await engine.questions(2)):
            await engine.answer(question_id=question.id)
        result = await engine.result(run)
    assert result["calls"] == [["ask_a", "A knows", False], ["ask_b", "B knows", False]]


# -- handoff -----------------------------------------------------------------------------------


async def test_a_handoff_ends_the_turn_and_names_the_next_agent(engine: Engine) -> None:
    asked: list[int] = []

    def route(route: Route) -> str | None:
        asked.append(len(route.turns))
        return None if route.turns else "Front"

    front_model = Scripted(calls(("hand_off_to_back_office", {"reason": "It is a refund"})))
    front = Agent("Front", tools=[handoff("Back Office")], model=front_model)
    back_model = Scripted(says("Refunded."))
    back = Agent("Back Office", tools=[handoff(front)], model=back_model)
    async with engine.works(desk(front, back, router=route)):
        run = await engine.start()
        result = await engine.result(run)
        lines = await engine.lines(run)
    assert result["turns"] == [["Front", "", "handoff"], ["Back Office", "Refunded.", "done"]]
    assert asked == [0, 2]
    routes = [line.title for line in lines if line.kind == "route"]
    assert routes == ["Front (code)", "Back Office (handoff)", "done (code)"]
    assert "Back Office takes over: It is a refund" in read(back_model.requests[0])


async def test_a_handoff_to_a_disabled_agent_is_for_the_router_to_decide(engine: Engine) -> None:
    front = Agent("Front", tools=[handoff("Back")], model=Scripted(calls(("hand_off_to_back", {}))))
    back = Agent("Back", enabled=lambda route: not route.turns)
    async with engine.works(desk(front, back)):
        result = await engine.result(await engine.start())
    assert [name for name, *_ in result["turns"]] == ["Front"]


def test_a_handoff_outside_the_network_is_refused_at_once() -> None:
    with pytest.raises(InvalidSetup, match="hands off to 'Nobody', which is not in network 'n'"):
        Network("n", agents=[Agent("A", tools=[handoff("Nobody")])])


# -- networks within networks ------------------------------------------------------------------


class Inner(BaseModel):
    facts: list[str] = []


@tool
def add(ctx: ToolContext[Inner], fact: str) -> None:
    """Add a fact."""
    ctx.state.facts.append(fact)


async def test_a_network_can_be_a_member_of_another(engine: Engine) -> None:
    researcher_model = Scripted(calls(("add", {"fact": "x"})), asks("Is x so?"), says("x it is"))
    researcher = Agent("Researcher", tools=[add, ask_developer], model=researcher_model)
    research = Network(
        "Research", description="Finds out.", agents=[researcher], router=once, state=Inner
    )
    writer_model = Scripted(says("Brief"), says("A text on x"))
    writer = Agent("Writer", model=writer_model)

    def route(route: Route) -> str | None:
        return ["Writer", "Research", "Writer", None][len(route.turns)]

    app = desk(writer, research, router=route, state={"topic": "x"})
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
    async with engine.works(app):
        await engine.answer()
        result = await engine.result(run)
    assert result["turns"] == [
        ["Writer", "Brief", "done"],
        ["Research", "x it is", "done"],
        ["Writer", "A text on x", "done"],
    ]
    assert result["state"] == {"topic": "x", "facts": ["x"]}
    assert result["usage"] == 50
    assert "[Writer took a turn.]" in read(researcher_model.requests[0])
    shown = read(writer_model.requests[1])
    assert "[Research took a turn.]" in shown
    assert "x it is" in shown


async def test_a_network_cannot_contain_itself() -> None:
    inner = Network("same", agents=[Agent("A")])
    with pytest.raises(InvalidSetup, match="share the mailbox"):
        App("x", networks=[Network("same", agents=[Agent("B"), inner])])


# -- in parallel ------------------------------------------------------------------------------


async def test_two_agents_of_a_group_both_ask_a_person(engine: Engine) -> None:
    def both(route: Route) -> list[str] | None:
        return None if route.turns else ["A", "B"]

    models = {name: Scripted(asks(f"{name}?"), says(f"{name} done")) for name in ("A", "B")}
    agents = [Agent(name, tools=[ask_developer], model=models[name]) for name in models]
    app = desk(*agents, router=both)
    async with engine.works(app):
        run = await engine.start()
        asked = {q.agent: q for q in await engine.questions(2)}
    async with engine.works(app), engine.works(app):
        await engine.answer(text="b", question_id=asked["B"].id)
        await until(lambda: _one_left(engine))
        await engine.answer(text="a", question_id=asked["A"].id)
        result = await engine.result(run)
    assert result["turns"] == [["A", "A done", "done"], ["B", "B done", "done"]]
    for name, model in models.items():
        assert model.paid == 2
        [shown] = results(model.requests[-1])
        assert f'"answer":"{name.lower()}"' in shown.content


async def _one_left(engine: Engine) -> bool:
    return len(await engine.client.questions()) == 1


async def test_a_group_sees_the_turns_before_it_but_not_each_other(engine: Engine) -> None:
    def route(route: Route) -> list[str] | str | None:
        rounds: list[Any] = ["A", None, ["B", "A"], None]
        return rounds[len(route.turns)] if len(route.turns) != 1 else ["B", "A"]

    def line(request: ModelRequest) -> Any:
        seen = re.findall(r"\[(\w) took a turn", read(request))
        return says(f"saw {','.join(seen)}")

    agents = [Agent(name) for name in ("A", "B")]
    async with engine.works(desk(*agents, router=route, model=Scripted(line))):
        result = await engine.result(await engine.start())
    assert result["turns"] == [
        ["A", "saw ", "done"],
        ["B", "saw A", "done"],
        ["A", "saw ", "done"],
    ]


async def test_a_tool_of_two_networks_agents_needs_one_mailbox(engine: Engine) -> None:
    shared = Agent("Shared", model=Scripted(says("s1"), says("s2")))
    lines = [calls(("ask_shared", {"task": "?"})), says("ok")]
    networks = [
        Network(
            name,
            agents=[Agent(f"Of {name}", tools=[shared.as_tool()], model=Scripted(*lines))],
            router=once,
        )
        for name in ("one", "two")
    ]

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        return [(await step.network(network, "?")).text for network in networks]

    async with engine.works(app_of(handle, *networks)):
        assert await engine.result(await engine.start()) == ["ok", "ok"]
