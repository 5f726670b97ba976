"""Networks: who is next, who is done, and what each agent gets to see."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Agent, Done, Network, Route, RoutingAgent, Step, tool, tool_called
from layby.actors.agents.context import AgentContext
from layby.actors.models.model import Message, ModelError, ModelRequest, ModelResponse, ToolResult
from layby.tools import ToolContext, ask_developer
from tests.engine import Engine, app_of, desk, once
from tests.scripted import Scripted, asks, calls, done, read, results, routes, says

pytestmark = pytest.mark.nats


def alternate(request: ModelRequest) -> bool:
    """Whether every tool call is followed at once by its result, and nothing else is one."""
    open_calls: set[str] = set()
    for message in request.messages:
        found = {part.id for part in message.parts if isinstance(part, ToolResult)}
        if found != open_calls:
            return False
        open_calls = {call.id for call in message.tool_calls}
    return not open_calls and request.messages[-1].role == "user"


# -- routers in code ---------------------------------------------------------------------------


async def test_a_function_decides_by_what_was_done(engine: Engine) -> None:
    seen: list[tuple[str, list[str]]] = []

    def router(route: Route) -> Agent | str | None:
        seen.append((route.input, [turn.agent for turn in route.turns]))
        if not route.turns:
            return "First"  # by name
        return second if route.last and route.last.agent == "First" else None  # as itself

    first, second = Agent("First"), Agent("Second")
    model = Scripted(says("one"), says("two"))
    async with engine.works(desk(first, second, router=router, model=model)):
        result = await engine.result(await engine.start("T7"))
    assert result["text"] == "two"
    assert result["turns"] == [["First", "one", "done"], ["Second", "two", "done"]]
    assert seen == [("Ticket T7", []), ("Ticket T7", ["First"]), ("Ticket T7", ["First", "Second"])]


async def test_a_router_may_be_async_and_say_done_with_a_summary(engine: Engine) -> None:
    async def router(route: Route) -> Done:
        del route
        return Done("nothing to do")

    async with engine.works(desk(Agent("A"), router=router)):
        result = await engine.result(await engine.start())
    assert (result["text"], result["turns"]) == ("nothing to do", [])


async def test_a_list_of_agents_takes_its_turns_in_parallel(engine: Engine) -> None:
    def router(route: Route) -> list[Agent | str] | None:
        return None if route.turns else [left, "Right"]

    left = Agent("Left", tools=[ask_developer], model=Scripted(asks("left?"), says("l")))
    right = Agent("Right", tools=[ask_developer], model=Scripted(asks("right?"), says("r")))
    app = desk(left, right, router=router)
    async with engine.works(app), engine.works(app):
        run = await engine.start()
        asked = {q.question: q.id for q in await engine.questions(2)}  # both, so in parallel
        await engine.answer(text="yes", question_id=asked["right?"])
        await engine.answer(text="yes", question_id=asked["left?"])
        result = await engine.result(run)
    assert result["turns"] == [["Left", "l", "done"], ["Right", "r", "done"]]


async def test_a_router_may_leave_it_to_a_routing_agent(engine: Engine) -> None:
    boss = RoutingAgent("Boss", model=Scripted(routes("B", reason="knows it"), done("fine")))
    model = Scripted(says("b"))
    async with engine.works(desk(Agent("A"), Agent("B"), router=lambda _: boss, model=model)):
        run = await engine.start()
        result = await engine.result(run)
        shown = [line.title for line in await engine.lines(run) if line.kind == "route"]
    assert result["turns"] == [["B", "b", "done"]]
    assert shown == ["B (Boss: knows it)", "done (Boss: fine)"]


async def test_a_router_that_names_an_unknown_agent_fails_the_run(engine: Engine) -> None:
    async with engine.works(desk(Agent("A"), Agent("B"), router=lambda _: "C")):
        state = await engine.ended(await engine.start())
    assert state.status == "failed"
    assert "chose 'C', which is not in the network; the agents are: A, B" in state.error


async def test_the_last_turn_without_an_end_is_max_turns(engine: Engine) -> None:
    model = Scripted(lambda _: says("again"))
    async with engine.works(desk(Agent("A"), router=lambda _: "A", model=model, max_turns=3)):
        state = await engine.ended(await engine.start())
    assert state.status == "max_turns"
    assert "'team' took 3 turns" in state.error
    assert model.paid == 3


async def test_a_router_may_say_done_after_the_last_turn(engine: Engine) -> None:
    model = Scripted(says("a"), says("b"))
    app = desk(
        Agent("A"), router=lambda r: "A" if len(r.turns) < 2 else None, model=model, max_turns=2
    )
    async with engine.works(app):
        result = await engine.result(await engine.start())
    assert len(result["turns"]) == 2


async def test_a_decision_is_made_once(engine: Engine) -> None:
    decided: list[int] = []

    def router(route: Route) -> str | None:
        decided.append(len(route.turns))
        return None if route.turns else "A"

    model = Scripted(asks("?"), says("ok"))
    async with engine.works(desk(Agent("A", tools=[ask_developer]), router=router, model=model)):
        run = await engine.start()
        await engine.question()
    async with engine.works(desk(Agent("A", tools=[ask_developer]), router=router, model=model)):
        await engine.answer()
        await engine.result(run)
    assert decided == [0, 1]
    assert model.paid == 2


# -- routing agents ----------------------------------------------------------------------------


async def test_a_model_routes_by_the_agents_descriptions_and_what_they_did(engine: Engine) -> None:
    boss = Scripted(routes("Billing"), done("all is well"))
    agents = Agent("Billing", description="Knows invoices"), Agent("Tech", description="Knows bugs")
    router = RoutingAgent("Boss", system="You lead.", model=boss)
    async with engine.works(desk(*agents, router=router, model=Scripted(says("paid twice")))):
        result = await engine.result(await engine.start("T7"))
    assert result["turns"] == [["Billing", "paid twice", "done"]]
    first, second = boss.requests
    assert first.system.startswith("You lead.")
    assert "- Billing: Knows invoices" in first.system
    assert "- Tech: Knows bugs" in first.system
    assert first.tool_choice == "any"
    assert "Ticket T7" in read(first)
    assert "[Billing took a turn.]" in read(second)
    assert "paid twice" in read(second)


@pytest.mark.parametrize(
    "wrong",
    [
        routes("Nobody"),
        routes(["Tech"]),
        routes({"name": "Tech"}),
        routes(None),
        calls(("route_to_agent", {})),
        calls(("launch_rocket", {"agent": "Tech"})),
        calls(("route_to_agent", {"agent": "Nobody"}), ("done", {})),
    ],
)
async def test_a_model_that_names_an_unknown_agent_is_asked_again(
    engine: Engine, wrong: ModelResponse
) -> None:
    boss = Scripted(wrong, routes("Tech"), done())
    router = RoutingAgent("Boss", model=boss)
    async with engine.works(desk(Agent("Tech"), router=router, model=Scripted(says("ok")))):
        result = await engine.result(await engine.start())
    assert result["turns"] == [["Tech", "ok", "done"]]
    shown = results(boss.requests[1])
    assert [r.id for r in shown] == [call.id for call in wrong.message.tool_calls]
    assert all(r.is_error for r in shown)
    assert "Tech" in shown[0].content or "route_to_agent" in shown[0].content
    assert alternate(boss.requests[1])


async def test_a_model_that_only_talks_is_asked_to_decide(engine: Engine) -> None:
    boss = Scripted(says("Hm, let me think."), done("thought"))
    async with engine.works(desk(Agent("A"), router=RoutingAgent("Boss", model=boss))):
        result = await engine.result(await engine.start())
    assert result["text"] == "thought"
    assert "text alone decides nothing" in read(boss.requests[1])


async def test_a_model_that_names_unknown_agents_three_times_fails_the_run(engine: Engine) -> None:
    boss = Scripted(routes("X"), routes("Y"), routes("Z"))
    async with engine.works(desk(Agent("A"), router=RoutingAgent("Boss", model=boss))):
        state = await engine.ended(await engine.start())
    assert state.status == "failed"
    assert "named no agent of the network in 3 attempts; the agents are: A" in state.error
    assert boss.paid == 3


async def test_rules_come_first_and_cost_nothing(engine: Engine) -> None:
    boss = Scripted()

    def begin(route: Route) -> str | None:
        return None if route.turns else "A"

    async def finish(route: Route) -> Done | None:
        return Done("by rule") if route.called("close") else None

    @tool
    async def close() -> str:
        """Close the ticket."""
        return "closed"

    router = RoutingAgent("Boss", rules=[begin, finish], model=boss)
    model = Scripted(calls(("close", {})), says(""))
    async with engine.works(desk(Agent("A", tools=[close]), router=router, model=model)):
        result = await engine.result(await engine.start())
    assert result["text"] == "by rule"
    assert boss.paid == 0


async def test_where_no_rule_decides_the_model_does(engine: Engine) -> None:
    boss = Scripted(done("by model"))
    router = RoutingAgent("Boss", rules=[lambda _: None], model=boss)
    async with engine.works(desk(Agent("A"), router=router)):
        assert (await engine.result(await engine.start()))["text"] == "by model"
    assert boss.paid == 1


async def test_without_a_router_the_networks_model_routes(engine: Engine) -> None:
    model = Scripted(routes("A"), says("hello"), done())
    network = Network("team", agents=[Agent("A")], default_model=model)

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return str((await step.network(network, "Hello?")).text)

    async with engine.works(app_of(handle, network)):
        assert await engine.result(await engine.start()) == "hello"


# -- agents and what they see ------------------------------------------------------------------


async def test_an_agent_keeps_its_own_messages_and_sees_other_turns_retold(engine: Engine) -> None:
    @tool
    async def look(what: str) -> str:
        """Look something up."""
        return f"found {what}"

    one = Scripted(calls(("look", {"what": "it"})), says("I looked"), says("I am back"))
    two = Scripted(says("I agree"))
    order = ["One", "Two", "One"]

    def router(route: Route) -> str | None:
        return order[len(route.turns)] if len(route.turns) < 3 else None

    agents = Agent("One", tools=[look], model=one), Agent("Two", model=two)
    async with engine.works(desk(*agents, router=router)):
        await engine.result(await engine.start())
    heard = read(two.requests[0])
    assert "[One took a turn.]" in heard
    assert "look" in heard
    assert "found it" in heard
    assert "I looked" in heard
    last = one.requests[-1]
    assert [message.role for message in last.messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert "I agree" in last.messages[-1].text
    assert all(alternate(request) for request in [*one.requests, *two.requests])


@pytest.mark.parametrize("stop", ["stopped", "max_steps"])
async def test_a_turn_that_ended_with_a_tool_can_be_continued(engine: Engine, stop: str) -> None:
    @tool
    async def reply() -> str:
        """Reply to the customer."""
        return "sent"

    model = Scripted(calls(("reply", {})), says("again"))
    options: dict[str, Any] = (
        {"stop_when": [tool_called("reply")]} if stop == "stopped" else {"max_steps": 1}
    )
    agent = Agent("A", tools=[reply], **options)
    app = desk(agent, router=lambda r: "A" if len(r.turns) < 2 else None, model=model)
    async with engine.works(app):
        result = await engine.result(await engine.start())
    assert [turn[2] for turn in result["turns"]] == [stop, "done"]
    assert alternate(model.requests[1])


async def test_a_stop_condition_needs_a_successful_call(engine: Engine) -> None:
    tries: list[int] = []

    @tool
    async def reply() -> str:
        """Reply to the customer."""
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("no address")
        return "sent"

    model = Scripted(calls(("reply", {})), calls(("reply", {})))
    agent = Agent("A", tools=[reply], stop_when=[tool_called("reply")])
    async with engine.works(desk(agent, model=model)):
        result = await engine.result(await engine.start())
    assert result["turns"] == [["A", "", "stopped"]]
    assert model.paid == 2


async def test_instructions_may_depend_on_the_run(engine: Engine) -> None:
    contexts: list[AgentContext] = []

    async def system(context: AgentContext) -> str:
        contexts.append(context)
        return f"You help with {context.ticket}; mood: {context.state['mood']}"

    model = Scripted(says("ok"))
    app = desk(Agent("A", system=system), model=model, state={"mood": "good"})
    async with engine.works(app):
        run = await engine.start("T7")
        await engine.result(run)
    assert model.requests[0].system == "You help with T7; mood: good"
    assert (contexts[0].run_id, contexts[0].network) == (run, "team")
    assert contexts[0].input == "Ticket T7"


async def test_the_tool_choice_applies_to_the_first_response_only(engine: Engine) -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    model = Scripted(calls(("look", {})), says("ok"))
    agent = Agent("A", tools=[look], tool_choice="look", max_tokens=99)
    async with engine.works(desk(agent, model=model)):
        await engine.result(await engine.start())
    assert [request.tool_choice for request in model.requests] == ["look", "auto"]
    assert [request.max_tokens for request in model.requests] == [99, 99]


@pytest.mark.parametrize("stop", ["refusal", "max_tokens"])
async def test_a_model_that_refuses_or_is_cut_short_says_so_in_its_turn(
    engine: Engine, stop: Any
) -> None:
    async with engine.works(desk(Agent("A"), model=Scripted(says("no", stop)))):
        result = await engine.result(await engine.start())
    assert result["turns"] == [["A", "no", stop]]


async def test_a_models_temporary_failure_is_retried(engine: Engine) -> None:
    busy = ModelError("overloaded", retryable=True, retry_after=0.01)
    model = Scripted(busy, busy, says("at last"))
    async with engine.works(desk(Agent("A"), model=model)):
        assert (await engine.result(await engine.start()))["text"] == "at last"
    assert model.paid == 3


async def test_a_models_permanent_failure_fails_the_run_at_once(engine: Engine) -> None:
    model = Scripted(ModelError("no credit left"))
    async with engine.works(desk(Agent("A"), model=model)):
        state = await engine.ended(await engine.start())
    assert (state.status, state.error) == ("failed", "no credit left")
    assert model.paid == 1


async def test_an_agent_without_a_model_is_named(engine: Engine) -> None:
    async with engine.works(desk(Agent("Lost"))):
        block = await engine.blocked(await engine.start())
    assert "agent 'Lost' has no model" in block.reason


async def test_usage_is_added_up(engine: Engine) -> None:
    boss = RoutingAgent("Boss", model=Scripted(routes("A"), done()))
    async with engine.works(desk(Agent("A"), router=boss, model=Scripted(says("ok")))):
        result = await engine.result(await engine.start())
    assert result["usage"] == 30


async def test_one_agent_may_be_in_two_networks(engine: Engine) -> None:
    shared = Agent("Shared")
    first = Network("one", agents=[shared], router=once, default_model=Scripted(says("1")))
    second = Network("two", agents=[shared], router=once, default_model=Scripted(says("2")))

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        both = await step.gather(step.network(first, "?"), step.network(second, "?"))
        return [result.text for result in both]

    async with engine.works(app_of(handle, first, second)):
        assert await engine.result(await engine.start()) == ["1", "2"]


async def test_a_network_may_work_twice_in_a_run(engine: Engine) -> None:
    network = Network(
        "team", agents=[Agent("A")], router=once, default_model=Scripted(says("1"), says("2"))
    )

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        return [(await step.network(network, "?")).text for _ in range(2)]

    async with engine.works(app_of(handle, network)):
        assert await engine.result(await engine.start()) == ["1", "2"]


async def test_a_network_that_the_app_does_not_have_is_refused(engine: Engine) -> None:
    network = Network("lost", agents=[Agent("A")], router=once, default_model=Scripted(says("1")))

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return str((await step.network(network, "?")).text)

    async with engine.works(app_of(handle)):
        block = await engine.blocked(await engine.start())
    assert "'lost'" in block.reason
    assert "networks=" in block.reason


async def test_state_goes_from_turn_to_turn_and_to_the_router(engine: Engine) -> None:
    seen: list[dict[str, Any]] = []

    @tool
    async def count(ctx: ToolContext) -> int:
        """Count."""
        ctx.state["count"] = ctx.state.get("count", 0) + 1
        return int(ctx.state["count"])

    def router(route: Route) -> str | None:
        seen.append(dict(route.state))
        return "A" if len(route.turns) < 2 else None

    model = Scripted(
        calls(("count", {})), calls(("count", {})), says("two"), calls(("count", {})), says("three")
    )
    app = desk(Agent("A", tools=[count]), router=router, model=model, state={"kept": "yes"})
    async with engine.works(app):
        result = await engine.result(await engine.start())
    assert seen == [{"kept": "yes"}, {"kept": "yes", "count": 2}, {"kept": "yes", "count": 3}]
    assert result["state"] == {"kept": "yes", "count": 3}


async def test_a_message_of_a_user_is_never_empty(engine: Engine) -> None:
    model = Scripted(says(""), says("better"))
    app = desk(Agent("A"), router=lambda r: "A" if len(r.turns) < 2 else None, model=model)
    async with engine.works(app):
        await engine.result(await engine.start())
    assert isinstance(model.requests[1].messages[-1], Message)
    assert all(m.parts for m in model.requests[1].messages if m.role == "user")
