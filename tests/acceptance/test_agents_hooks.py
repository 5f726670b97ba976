"""An agent's hooks: each is called once, where it is said to be, and what it returns counts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby import Agent, AgentContext, Halt, ToolContext, TurnResult, tool
from layby.actors.threads.turn import CallOutcome
from layby.models import Message, ModelRequest, ModelResponse, Text, ToolCall
from layby.tools import Fatal, ToolError, ask_developer
from tests.engine import Engine, desk
from tests.scripted import Scripted, asks, calls, results, says

pytestmark = pytest.mark.nats


@tool
async def pay(amount: int) -> str:
    """Pay somebody."""
    return f"paid {amount}"


async def test_on_start_may_change_every_request(engine: Engine) -> None:
    seen: list[tuple[str, str]] = []

    def on_start(ctx: AgentContext, request: ModelRequest) -> ModelRequest:
        seen.append((ctx.agent, ctx.ticket))
        return msgspec.structs.replace(request, system=f"{request.system} Be brief.")

    model = Scripted(calls(("pay", {"amount": 1})), says("Done."))
    agent = Agent("A", system="You pay.", tools=[pay], on_start=on_start)
    async with engine.works(desk(agent, model=model)):
        await engine.result(await engine.start())
    assert [request.system for request in model.requests] == ["You pay. Be brief."] * 2
    assert seen == [("A", "T1")] * 2


async def test_on_start_may_end_the_turn_without_the_model(engine: Engine) -> None:
    async def on_start(ctx: AgentContext, request: ModelRequest) -> Halt | None:
        del ctx
        return Halt("Enough.") if len(request.messages) > 1 else None

    model = Scripted(calls(("pay", {"amount": 1})))
    agent = Agent("A", tools=[pay], on_start=on_start)
    async with engine.works(desk(agent, model=model)):
        result = await engine.result(await engine.start())
    assert result["turns"] == [["A", "Enough.", "halted"]]
    assert model.paid == 1


async def test_on_response_may_replace_the_response_which_is_paid_for_once(engine: Engine) -> None:
    def on_response(ctx: AgentContext, response: ModelResponse) -> ModelResponse | None:
        del ctx
        if response.message.tool_calls:
            return None
        said = Message(role="assistant", parts=[Text(text=response.message.text.upper())])
        return msgspec.structs.replace(response, message=said)

    model = Scripted(calls(("pay", {"amount": 1})), says("Done."))
    agent = Agent("A", tools=[pay], on_response=on_response)
    async with engine.works(desk(agent, model=model)):
        result = await engine.result(await engine.start())
    assert result["text"] == "DONE."
    assert result["usage"] == 20


async def test_on_finish_may_replace_the_result(engine: Engine) -> None:
    def on_finish(ctx: AgentContext, result: TurnResult) -> TurnResult:
        assert ctx.state == {"n": 1}
        return msgspec.structs.replace(result, text=f"{result.text}!", state={"n": 2})

    agent = Agent("A", on_finish=on_finish)
    async with engine.works(desk(agent, model=Scripted(says("Done")), state={"n": 1})):
        result = await engine.result(await engine.start())
    assert (result["text"], result["state"]) == ("Done!", {"n": 2})


async def test_no_hook_is_called_again_when_a_person_has_answered(engine: Engine) -> None:
    called: list[str] = []

    def on_start(ctx: AgentContext, request: ModelRequest) -> None:
        del ctx, request
        called.append("start")

    def on_response(ctx: AgentContext, response: ModelResponse) -> None:
        del ctx, response
        called.append("response")

    def before(ctx: ToolContext, call: ToolCall) -> None:
        del ctx
        called.append(f"before {call.name}")

    def after(ctx: ToolContext, call: ToolCall, outcome: CallOutcome) -> None:
        del ctx
        called.append(f"after {call.name} {outcome.is_error}")

    def on_finish(ctx: AgentContext, result: TurnResult) -> None:
        del ctx, result
        called.append("finish")

    agent = Agent(
        "A",
        tools=[pay, ask_developer],
        on_start=on_start,
        on_response=on_response,
        on_finish=on_finish,
        before_tool=before,
        after_tool=after,
    )
    model = Scripted(calls(("pay", {"amount": 1})), asks(), says("Done."))
    async with engine.works(desk(agent, model=model)):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        await engine.result(run)
    assert called == [
        *("start", "response", "before pay", "after pay False"),
        *("start", "response", "before ask_developer", "after ask_developer False"),
        *("start", "response", "finish"),
    ]


# -- around tools ------------------------------------------------------------------------------


async def test_before_tool_may_change_the_arguments(engine: Engine) -> None:
    def before(ctx: ToolContext, call: ToolCall) -> ToolCall:
        assert ctx.agent == "A"
        return msgspec.structs.replace(call, arguments={"amount": min(call.arguments["amount"], 5)})

    model = Scripted(calls(("pay", {"amount": 100})), says("Done."))
    async with engine.works(desk(Agent("A", tools=[pay], before_tool=before), model=model)):
        result = await engine.result(await engine.start())
    assert result["calls"] == [["pay", "paid 5", False]]


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ("never mind", ("never mind", False)),
        (CallOutcome(content="no", is_error=True), ("no", True)),
    ],
)
async def test_before_tool_may_return_a_result_instead(
    engine: Engine, reply: Any, shown: tuple[str, bool]
) -> None:
    paid: list[int] = []

    @tool
    def pay_now(amount: int) -> None:
        paid.append(amount)

    model = Scripted(calls(("pay_now", {"amount": 1})), says("Done."))
    agent = Agent("A", tools=[pay_now], before_tool=lambda _ctx, _call: reply)
    async with engine.works(desk(agent, model=model)):
        await engine.result(await engine.start())
    assert [(r.content, r.is_error) for r in results(model.requests[-1])] == [shown]
    assert not paid


@pytest.mark.parametrize("error", [ToolError("not now"), RuntimeError("the audit is down")])
async def test_a_before_tool_that_raises_keeps_the_tool_from_running(
    engine: Engine, error: Exception
) -> None:
    def before(_ctx: ToolContext, _call: ToolCall) -> None:
        raise error

    model = Scripted(calls(("pay", {"amount": 1})), says("Done."))
    async with engine.works(desk(Agent("A", tools=[pay], before_tool=before), model=model)):
        await engine.result(await engine.start())
    [shown] = results(model.requests[-1])
    assert shown.is_error
    assert str(error) in shown.content


async def test_after_tool_sees_every_outcome_and_may_replace_it(engine: Engine) -> None:
    async def after(ctx: ToolContext, call: ToolCall, outcome: CallOutcome) -> str | None:
        ctx.state["seen"] = [*ctx.state.get("seen", []), call.name]
        return "it broke" if outcome.is_error else None

    @tool
    def broken() -> None:
        raise RuntimeError("secret detail")

    model = Scripted(calls(("pay", {"amount": 1})), calls(("broken", {})), says("Done."))
    async with engine.works(desk(Agent("A", tools=[pay, broken], after_tool=after), model=model)):
        result = await engine.result(await engine.start())
    assert result["calls"] == [["pay", "paid 1", False], ["broken", "it broke", True]]
    assert result["state"] == {"seen": ["pay", "broken"]}


async def test_fatal_fails_the_run_and_the_model_is_not_asked_again(engine: Engine) -> None:
    @tool(retries=3)
    def explode() -> None:
        raise Fatal("the ledger is corrupt")

    model = Scripted(calls(("explode", {})))
    async with engine.works(desk(Agent("A", tools=[explode]), model=model)):
        state = await engine.ended(await engine.start())
    assert (state.status, state.error) == ("failed", "the ledger is corrupt")
    assert model.paid == 1


# -- enabled -----------------------------------------------------------------------------------


async def test_a_disabled_agent_is_not_offered_to_routers(engine: Engine) -> None:
    offered: list[list[str]] = []

    def route(route: Any) -> str | None:
        offered.append(list(route.agents))
        return next(iter(route.agents)) if len(route.turns) < 2 else None

    async def only_once(route: Any) -> bool:
        return not route.turns

    agents = [Agent("Once", enabled=only_once), Agent("Always"), Agent("Never", enabled=_never)]
    async with engine.works(desk(*agents, router=route, model=Scripted(says("a"), says("b")))):
        result = await engine.result(await engine.start())
    assert [name for name, *_ in result["turns"]] == ["Once", "Always"]
    assert offered == [["Once", "Always"], ["Always"], ["Always"]]


def _never(route: Any) -> bool:
    del route
    return False


async def test_a_network_of_disabled_agents_fails_with_the_reason(engine: Engine) -> None:
    agent = Agent("Never", enabled=_never)
    async with engine.works(desk(agent, model=Scripted())):
        state = await engine.ended(await engine.start())
    assert (state.status, state.error) == ("failed", "no agent of network 'team' is enabled")
