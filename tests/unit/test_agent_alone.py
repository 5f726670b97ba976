"""`agent.run(...)`: the loop in memory, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from layby import Agent, NeedsServer, StepFailed, ToolContext, last_n, tool
from layby.models import Message, ModelError, ToolCall
from layby.runtime.errors import InvalidSetup
from layby.tools import ToolError, ask_developer
from tests.scripted import Scripted, asks, calls, results, says


class Tally(BaseModel):
    n: int = 0


@tool
async def count(ctx: ToolContext[Tally], by: int) -> int:
    """Count."""
    ctx.state.n += by
    ctx.agent_state["last"] = by
    return ctx.state.n


async def test_a_turn_with_tools_state_and_output() -> None:
    model = Scripted(
        calls(("count", {"by": 2}), ("count", {"by": "many"})),
        calls(("count", {"by": 3})),
        calls(("final_answer", {"n": 5})),
    )
    agent = Agent("A", tools=[count], output_type=Tally)
    result = await agent.run("Count.", model=model, state=Tally(n=0))
    assert result.output == Tally(n=5)
    assert (result.state, result.agent_state) == ({"n": 5}, {"last": 3})
    assert [(c.content, c.is_error) for c in result.calls][0::2] == [("2", False), ("5", False)]
    assert "by: Input should be a valid integer" in result.calls[1].content
    assert result.usage.tokens == 33


async def test_the_hooks_are_called_and_the_steps_work() -> None:
    @tool
    async def stamp(ctx: ToolContext) -> list[Any]:
        """Use durable verbs."""
        await ctx.step.sleep(0.001)
        first = await ctx.step.run("one", lambda: 1)
        return [first, await ctx.step.gather(ctx.step.run("two", lambda: 2)), ctx.run_id != ""]

    agent = Agent(
        "A",
        tools=[stamp],
        model=Scripted(calls(("stamp", {})), says("ok")),
        before_tool=lambda _ctx, call: ToolCall(id=call.id, name=call.name, arguments={}),
        after_tool=lambda _ctx, _call, outcome: f"{outcome.content}!",
        on_finish=lambda _ctx, result: msgspec.structs.replace(result, text="bye"),
    )
    result = await agent.run("Go.")
    assert (result.calls[0].content, result.text) == ("[1,[2],true]!", "bye")


async def test_a_conversation_continues() -> None:
    model = Scripted(says("Hello."), says("Still here."))
    agent = Agent("A", model=model, history=last_n(1))
    first = await agent.run("Hi")
    await agent.run("And now?", messages=first.messages)
    said = [(m.role, m.text) for m in model.requests[1].messages]
    assert said == [("user", "Hi"), ("assistant", "Hello."), ("user", "And now?")]


async def test_a_conversation_is_bounded_by_the_agents_policy() -> None:
    model = Scripted(*(says(f"Answer {n}.") for n in range(4)))
    agent = Agent("A", model=model, history=last_n(2))
    said: list[Message] = []
    for n in range(4):
        said += (await agent.run(f"Question {n}", messages=said)).messages
    assert [m.text for m in model.requests[3].messages] == [
        *("Question 1", "Answer 1.", "Question 2", "Answer 2."),
        "Question 3\n\n[1 earlier turn is left out.]",
    ]


async def test_an_agent_as_a_tool_works_in_memory_too() -> None:
    expert = Agent("Expert", tools=[count])
    model = Scripted(
        calls(("ask_expert", {"task": "Count"})),
        calls(("count", {"by": 4})),
        says("counted"),
        says("Done."),
    )
    agent = Agent("A", tools=[expert.as_tool()])
    result = await agent.run("Go.", model=model, state=Tally())
    assert result.calls[0].content == "counted"
    assert result.state == {"n": 4}
    assert result.usage.tokens == 44


async def test_a_person_cannot_be_asked() -> None:
    agent = Agent("A", tools=[ask_developer], model=Scripted(asks("May I?")))
    with pytest.raises(NeedsServer, match="a developer cannot be asked 'May I\\?'"):
        await agent.run("Go.")


async def test_an_approval_needs_a_person_too() -> None:
    @tool(needs_approval=True)
    def pay() -> None:
        raise AssertionError

    with pytest.raises(NeedsServer, match="May A call pay\\(\\)"):
        await Agent("A", tools=[pay], model=Scripted(calls(("pay", {})))).run("Go.")


async def test_a_tools_errors_reach_the_model_and_it_is_retried() -> None:
    tries: list[str] = []

    @tool(retries=1)
    def flaky(ctx: ToolContext) -> str:
        tries.append(ctx.idempotency_key)
        if len(tries) == 1:
            raise RuntimeError("once")
        raise ToolError("twice")

    model = Scripted(calls(("flaky", {})), says("ok"))
    await Agent("A", tools=[flaky], model=model).run("Go.")
    [seen] = results(model.requests[1])
    assert (seen.content, seen.is_error) == ("twice", True)
    assert len(set(tries)) == 1


async def test_a_permanent_failure_of_the_model_fails_the_turn() -> None:
    with pytest.raises(StepFailed, match="no such key"):
        await Agent("A", model=Scripted(ModelError("no such key"))).run("Go.")


async def test_no_model() -> None:
    with pytest.raises(InvalidSetup, match="'A' has no model"):
        await Agent("A").run("Go.")


@pytest.mark.parametrize("verb", ["wait_for_event", "send_event", "workflow"])
async def test_what_needs_a_server_says_so(verb: str) -> None:
    @tool
    async def reach(ctx: ToolContext) -> Any:
        """Reach out."""
        arguments: tuple[Any, ...] = ("a.b",) if verb == "wait_for_event" else ("a.b", {})
        return await getattr(ctx.step, verb)(*arguments)

    with pytest.raises(NeedsServer, match="a\\.b"):
        await Agent("A", tools=[reach], model=Scripted(calls(("reach", {})))).run("Go.")


async def test_parallel_tools_in_a_script_lose_no_changes() -> None:
    @tool
    async def slow(ctx: ToolContext, by: int) -> None:
        """Count."""
        ctx.state["n"] = ctx.state.get("n", 0) + by
        await asyncio.sleep(0)

    @tool
    def quick(ctx: ToolContext, by: int) -> None:
        """Count."""
        ctx.state["n"] = ctx.state.get("n", 0) + by

    wanted = [(name, {"by": n}) for n, name in enumerate(("slow", "quick", "slow", "quick"), 1)]
    agent = Agent("A", tools=[slow, quick], model=Scripted(calls(*wanted), says(".")))
    result = await agent.run("Count", state={"n": 0})
    assert result.state == {"n": 10}
    assert not any(call.is_error for call in result.calls)
