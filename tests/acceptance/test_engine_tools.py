"""Tools: what the model gets to see of a call, whatever the call did."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, SecretStr

from layby import Agent, NonRetriableError, Retry, RetryAfter, ToolError, tool
from layby.tools import Tool, ToolContext
from tests.engine import Engine, desk
from tests.scripted import Scripted, calls, results, says

pytestmark = pytest.mark.nats

AnyTool = Tool[..., Any]


class Customer(BaseModel):
    name: str
    card: SecretStr


async def seen(engine: Engine, *tools: AnyTool, call: Any) -> list[tuple[str, bool]]:
    """What a model is told of the calls in its response."""
    model = Scripted(call, says("ok"))
    async with engine.works(desk(Agent("A", tools=tools), model=model)):
        await engine.result(await engine.start())
    return [(result.content, result.is_error) for result in results(model.requests[-1])]


async def test_a_result_reaches_the_model_as_text_or_json(engine: Engine) -> None:
    @tool
    async def plain() -> str:
        return "as it is"

    @tool
    def customer(name: str) -> Customer:
        return Customer(name=name, card=SecretStr("4111"))

    @tool
    async def nothing() -> None:
        return None

    call = calls(("plain", {}), ("customer", {"name": "Ada"}), ("nothing", {}))
    assert await seen(engine, plain, customer, nothing, call=call) == [
        ("as it is", False),
        ('{"name":"Ada","card":"**********"}', False),
        ("done", False),
    ]


async def test_invalid_arguments_reach_the_model_and_the_tool_does_not_run(engine: Engine) -> None:
    ran: list[int] = []

    @tool
    async def refund(amount: int) -> str:
        ran.append(amount)
        return "refunded"

    [(content, is_error)] = await seen(engine, refund, call=calls(("refund", {"amount": "much"})))
    assert is_error
    assert "invalid arguments for refund" in content
    assert "amount" in content
    assert ran == []


async def test_an_unknown_tools_error_lists_the_tools(engine: Engine) -> None:
    @tool
    async def refund() -> str:
        return "refunded"

    [(content, is_error)] = await seen(engine, refund, call=calls(("launch", {})))
    assert is_error
    assert content == "there is no tool named 'launch'; the tools are: refund"


async def test_an_exception_reaches_the_model_without_its_stack_trace(engine: Engine) -> None:
    @tool
    async def breaks() -> str:
        raise RuntimeError("the printer is on fire")

    [(content, is_error)] = await seen(engine, breaks, call=calls(("breaks", {})))
    assert is_error
    assert content == "breaks failed: the printer is on fire"


async def test_a_tool_error_reaches_the_model_in_its_own_words(engine: Engine) -> None:
    @tool(retries=3)
    async def breaks() -> str:
        raise ToolError("ask for the invoice number first")

    assert await seen(engine, breaks, call=calls(("breaks", {}))) == [
        ("ask for the invoice number first", True)
    ]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
async def test_a_tool_that_exits_fails_like_any_other(engine: Engine, error: BaseException) -> None:
    @tool
    async def leave() -> str:
        raise error

    @tool
    async def stay() -> str:
        return "here"

    left, stayed = await seen(engine, leave, stay, call=calls(("leave", {}), ("stay", {})))
    assert left[1]
    assert type(error).__name__ in left[0]
    assert stayed == ("here", False)


async def test_a_tools_timeout_reaches_the_model(engine: Engine) -> None:
    @tool(timeout=0.05)
    async def slow() -> str:
        await asyncio.Event().wait()
        return "never"

    [(content, is_error)] = await seen(engine, slow, call=calls(("slow", {})))
    assert is_error
    assert "slow gave no result in 0.05 s; it may still have taken effect" in content


async def test_a_result_with_half_a_character_reaches_the_model(engine: Engine) -> None:
    @tool
    async def odd() -> str:
        return "half a pair: \ud800"

    [(content, _)] = await seen(engine, odd, call=calls(("odd", {})))
    assert content.encode()


async def test_a_big_result_reaches_the_model_completely(engine: Engine) -> None:
    @tool
    async def read_book() -> str:
        return "x" * 1_500_000

    [(content, is_error)] = await seen(engine, read_book, call=calls(("read_book", {})))
    assert (len(content), is_error) == (1_500_000, False)


# -- tries -------------------------------------------------------------------------------------


async def test_a_tool_runs_once_unless_it_says_otherwise(engine: Engine) -> None:
    ran: list[int] = []

    @tool
    async def breaks() -> str:
        ran.append(1)
        raise OSError("down")

    await seen(engine, breaks, call=calls(("breaks", {})))
    assert len(ran) == 1


@pytest.mark.slow
async def test_attempts_of_a_tool_share_one_idempotency_key(engine: Engine) -> None:
    keys: list[str] = []

    @tool(retries=2)
    async def charge(ctx: ToolContext) -> str:
        keys.append(ctx.idempotency_key)
        if len(keys) == 1:
            raise RetryAfter(0.01)
        if len(keys) == 2:
            raise RetryAfter(1.0)
        return "charged"

    both = calls(("charge", {}), ("charge", {}))
    first, second = await seen(engine, charge, call=both)
    assert (first, second) == (("charged", False), ("charged", False))
    assert len(set(keys)) == 2


async def test_a_permanent_error_of_a_tool_is_not_retried(engine: Engine) -> None:
    ran: list[int] = []

    @tool(retries=5)
    async def breaks() -> str:
        ran.append(1)
        raise NonRetriableError("no such order")

    assert await seen(engine, breaks, call=calls(("breaks", {}))) == [
        ("breaks failed: no such order", True)
    ]
    assert len(ran) == 1


async def test_a_tool_whose_inner_step_failed_is_not_retried_forever(engine: Engine) -> None:
    ran: list[int] = []

    @tool(retries=2)
    async def breaks(ctx: ToolContext) -> str:
        def fails() -> None:
            ran.append(1)
            raise OSError("down")

        await ctx.step.run("inner", fails, retry=Retry(attempts=1))
        return "not reached"

    [(content, is_error)] = await seen(engine, breaks, call=calls(("breaks", {})))
    assert is_error
    assert "down" in content
    assert len(ran) == 1


# -- in parallel ------------------------------------------------------------------------------


async def test_calls_of_one_response_run_in_parallel_and_are_reported_in_order(
    engine: Engine,
) -> None:
    barrier = asyncio.Barrier(3)

    @tool
    async def meet(name: str) -> str:
        await barrier.wait()  # all three, or none goes on
        return name

    call = calls(*(("meet", {"name": name}) for name in "abc"))
    assert await seen(engine, meet, call=call) == [("a", False), ("b", False), ("c", False)]


async def test_sync_tools_do_not_block_the_worker(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()

    @tool
    def from_a_thread() -> str:
        asyncio.run_coroutine_threadsafe(arrived.wait(), loop).result(5)
        return "met"

    @tool
    async def in_the_loop() -> str:
        arrived.set()
        return "met"

    call = calls(("from_a_thread", {}), ("in_the_loop", {}))
    assert await seen(engine, from_a_thread, in_the_loop, call=call) == [("met", False)] * 2


# -- context, state and steps ------------------------------------------------------------------


async def test_a_tool_knows_where_it_is_called(engine: Engine) -> None:
    @tool
    async def where(ctx: ToolContext) -> dict[str, Any]:
        return {
            "run": ctx.run_id,
            "ticket": ctx.ticket,
            "agent": ctx.agent,
            "network": ctx.network,
            "state": ctx.state,
        }

    model = Scripted(calls(("where", {})), says("ok"))
    app = desk(Agent("Anna", tools=[where]), model=model, state={"plan": "gold"})
    async with engine.works(app):
        run = await engine.start("T7")
        await engine.result(run)
    assert msgspec.json.decode(results(model.requests[-1])[0].content) == {
        "run": run,
        "ticket": "T7",
        "agent": "Anna",
        "network": "team",
        "state": {"plan": "gold"},
    }


async def test_what_tools_set_is_the_networks_state(engine: Engine) -> None:
    @tool
    async def remember(ctx: ToolContext, key: str, value: str) -> str:
        ctx.state[key] = value
        return "noted"

    @tool
    async def recall(ctx: ToolContext) -> dict[str, Any]:
        return ctx.state

    model = Scripted(
        calls(("remember", {"key": "a", "value": "1"}), ("remember", {"key": "b", "value": "2"})),
        calls(("recall", {})),
        says("ok"),
    )
    async with engine.works(desk(Agent("A", tools=[remember, recall]), model=model)):
        result = await engine.result(await engine.start())
    assert result["state"] == {"a": "1", "b": "2"}
    assert msgspec.json.decode(results(model.requests[-1])[0].content) == {"a": "1", "b": "2"}


async def test_state_that_a_failed_call_set_is_forgotten(engine: Engine) -> None:
    @tool
    async def breaks(ctx: ToolContext) -> str:
        ctx.state["half"] = "done"
        raise RuntimeError("broken off")

    model = Scripted(calls(("breaks", {})), says("ok"))
    async with engine.works(desk(Agent("A", tools=[breaks]), model=model)):
        assert (await engine.result(await engine.start()))["state"] == {}


async def test_nested_changes_of_the_state_are_kept_too(engine: Engine) -> None:
    @tool
    async def add(ctx: ToolContext, item: str) -> str:
        ctx.state["cart"].append(item)
        return "added"

    model = Scripted(calls(("add", {"item": "a"})), calls(("add", {"item": "b"})), says("ok"))
    app = desk(Agent("A", tools=[add]), model=model, state={"cart": []})
    async with engine.works(app):
        result = await engine.result(await engine.start())
    assert result["state"] == {"cart": ["a", "b"]}


async def test_a_state_without_a_json_form_is_the_tools_error(engine: Engine) -> None:
    @tool
    async def stash(ctx: ToolContext) -> str:
        ctx.state["socket"] = object()
        return "stashed"

    [(content, is_error)] = await seen(engine, stash, call=calls(("stash", {})))
    assert is_error
    assert "cannot be recorded" in content


async def test_steps_in_a_tool_are_recorded_one_by_one(engine: Engine) -> None:
    ran: list[str] = []

    @tool
    async def order(ctx: ToolContext, item: str) -> str:
        async def note(text: str) -> str:
            ran.append(text)
            return text

        await ctx.step.run("reserve", note, f"reserve {item}")
        await ctx.step.sleep("200ms")
        await ctx.step.run("pay", note, f"pay {item}")
        return f"ordered {item}"

    call = calls(("order", {"item": "a"}), ("order", {"item": "b"}))
    assert await seen(engine, order, call=call) == [("ordered a", False), ("ordered b", False)]
    assert sorted(ran) == ["pay a", "pay b", "reserve a", "reserve b"]


async def test_steps_in_a_tool_are_reported_as_what_they_are(engine: Engine) -> None:
    @tool
    async def order(ctx: ToolContext) -> str:
        await ctx.step.run("reserve", str, "x")
        return "ordered"

    @tool
    async def breaks() -> str:
        raise RuntimeError("on fire")

    model = Scripted(calls(("order", {}), ("breaks", {})), says("ok"))
    async with engine.works(desk(Agent("A", tools=[order, breaks]), model=model)):
        run = await engine.start()
        lines = await engine.lines(run)
    assert [line.title for line in lines if line.kind == "tool.called"] == ["order"]
    assert any(line.kind == "step.done" and "reserve" in line.title for line in lines)
    [failed] = [line for line in lines if line.kind in {"tool.failed", "step.failed"}]
    assert "breaks" in failed.title + failed.detail
    assert "on fire" in failed.detail
