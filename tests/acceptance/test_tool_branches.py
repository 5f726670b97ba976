"""A tool that gathers branches: each goes on once, whoever handles the mail of another."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from layby import Agent, App, Step, ToolContext, tool
from layby.runtime.branching import Branching
from layby.runtime.worker import Worker
from tests.engine import Engine, app_of, until
from tests.examples import proofs_but
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats


class Till:
    """Charges, and holds up the first charge of a role until it is let go."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.go_on = asyncio.Event()

    async def has_begun(self, role: str) -> bool:
        return self.begun[role] > 0

    async def charge(self, role: str) -> str:
        self.begun[role] += 1
        if role == "developer":
            await self.go_on.wait()
        return f"charged {role}"


def app_with(till: Till) -> App:
    @tool
    async def charge_both(ctx: ToolContext[Any]) -> list[str]:
        """Charge both, each after somebody has agreed."""

        async def charge(role: str) -> str:
            await ctx.step.ask(role, "May I?")
            return await ctx.step.run(f"charge {role}", till.charge, role)

        return await ctx.step.gather(charge("developer"), charge("lead"))

    agent = Agent(
        "A", tools=[charge_both], model=Scripted(calls(("charge_both", {})), says("Done."))
    )

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        result = await step.agent(agent, "Charge both")
        return result.calls[0].content

    return app_of(handle, agents=[agent], roles=["developer", "lead"])


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_branch_in_progress_is_not_begun_again_for_the_mail_of_another(
    engine: Engine, workers: int
) -> None:
    till = Till()
    app = app_with(till)
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            await stack.enter_async_context(engine.works(app))
        run = await engine.start()
        await engine.questions(2)
        await engine.answer("T1", "yes", role="developer")
        await until(lambda: till.has_begun("developer"))
        await engine.answer("T1", "yes", role="lead")
        await until(lambda: _has(engine, run, "charged lead"))
        assert till.begun == {"developer": 1, "lead": 1}
        till.go_on.set()
        assert await engine.result(run) == '["charged developer","charged lead"]'
    assert till.begun == {"developer": 1, "lead": 1}


async def test_a_worker_that_ends_a_lost_branch_does_not_continue_the_tool(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lead answers after the developer has won, and before the lead's question is withdrawn."""
    till, go_on = Till(), asyncio.Event()
    till.go_on.set()
    withdraw, held = Branching._withdraw, list[Any]()

    async def later(self: Branching, lines: Any) -> None:
        if not held:
            held.append(self)
            await go_on.wait()
        await withdraw(self, lines)

    monkeypatch.setattr(Branching, "_withdraw", later)

    @tool
    async def charge_one(ctx: ToolContext[Any]) -> str:
        """Charge when somebody has agreed."""
        await ctx.step.first(ctx.step.ask("developer", "May I?"), ctx.step.ask("lead", "May I?"))
        return await till.charge("developer")  # not a step: it must not happen twice at a time

    model = Scripted(calls(("charge_one", {})), says("Done."))
    agent = Agent("A", tools=[charge_one], model=model)

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.agent(agent, "Charge")).calls[0].content

    app = app_of(handle, agents=[agent], roles=["developer", "lead"])
    async with engine.works(app):
        run = await engine.start()
        await engine.questions(2)
        await engine.answer("T1", "yes", role="developer")
        await until(lambda: _is(bool(held)))
        assert (await engine.answer("T1", "yes", role="lead")).outcome == "accepted"
        await until(lambda: _acked(engine))
        go_on.set()
        assert await engine.result(run) == "charged developer"
    assert till.begun == {"developer": 1}


async def _is(what: bool) -> bool:  # noqa: FBT001
    return what


async def _acked(engine: Engine) -> bool:
    """Whether the agent's mailbox holds nothing but the mail that is held up."""
    info = await engine.wire.api("CONSUMER.INFO.RUNS.agent-a")
    return (info["num_pending"], info["num_ack_pending"]) == (0, 1)


async def _has(engine: Engine, run: str, result: str) -> bool:
    state = await engine.state(run)
    slots = [slot for frame in state.frames.values() for slot in frame.slots.values()]
    return any(result.encode() in bytes(slot.result) for slot in slots)


@pytest.mark.slow
@pytest.mark.parametrize("last", proofs_but(1, ["lead", "developer"]))
async def test_a_branch_of_a_stopped_worker_continues_even_if_another_began_later(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """The mail of the first branch is handled again after that of the second."""
    monkeypatch.setattr(Worker.drain, "__defaults__", (0.05,))
    till = Till()
    app = app_with(till)
    async with engine.works(app):
        run = await engine.start()
        await engine.questions(2)
        await engine.answer("T1", "yes", role="developer")
        await until(lambda: till.has_begun("developer"))
        if last == "lead":
            await engine.answer("T1", "yes", role="lead")
            await until(lambda: _has(engine, run, "charged lead"))
    till.go_on.set()
    async with engine.works(app):
        if last == "developer":
            await until(lambda: _has(engine, run, "charged developer"))
            await engine.answer("T1", "yes", role="lead")
        assert await engine.result(run) == '["charged developer","charged lead"]'
    assert till.begun == {"developer": 2, "lead": 1}
