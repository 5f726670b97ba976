"""What is recorded side by side, and appended together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import Agent, Step, ToolContext, tool
from layby.bus.errors import StoreFull
from layby.bus.log import Log
from layby.testing import ScriptedModel, calls
from layby.tools import ask_developer
from tests.engine import Engine, app_of, desk

pytestmark = pytest.mark.nats


async def test_parallel_results_may_be_larger_than_one_message(engine: Engine) -> None:
    done: list[int] = []

    async def big(number: int) -> str:
        done.append(number)
        return "x" * 60_000

    async def handle(event: dict[str, Any], step: Step) -> int:
        del event
        texts = await step.gather(*(step.run(f"s{n}", big, n) for n in range(40)))
        return sum(map(len, texts))

    async with engine.works(app_of(handle)):
        run = await engine.start()
        assert await engine.result(run) == 40 * 60_000
    assert sorted(done) == list(range(40))


@pytest.mark.parametrize("stored", [False, True])
async def test_a_branch_cancelled_while_it_appends_loses_nothing_of_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, stored: bool
) -> None:
    """A batch holds the records of all; the time of whoever sends it may be up before it lands."""
    append, paid = Log.append, asyncio.Event()
    stopped = asyncio.Event()
    payments: list[str] = []

    async def slow(self: Log, run: str, n: int, to: str, data: bytes) -> None:
        if stored:
            await append(self, run, n, to, data)
        if b"tool#0.0" in data:
            await stopped.wait()
        if not stored:
            await append(self, run, n, to, data)

    monkeypatch.setattr(Log, "append", slow)

    @tool
    async def pay() -> str:
        """Pay."""
        payments.append("paid")
        paid.set()
        return "paid"

    @tool(timeout=0.1)
    async def look(ctx: ToolContext) -> str:
        """Look something up, with a step of its own."""
        await paid.wait()
        try:
            return await ctx.step.run("look", nothing)
        finally:
            stopped.set()

    async def nothing() -> str:
        return ""

    model = ScriptedModel([calls("pay", "look"), calls(("ask_developer", {"question": "?"})), "."])
    agent = Agent("A", tools=[pay, look, ask_developer], model=model)
    async with engine.works(desk(agent)):
        run = await engine.start()
        await engine.question()
    async with engine.works(desk(agent)):
        await engine.answer()
        await engine.result(run)
    assert payments == ["paid"]


async def test_nothing_is_stored_after_a_record_that_did_not_fit(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, asks = Log.append, asyncio.Event()

    async def full(self: Log, run: str, n: int, to: str, data: bytes) -> None:
        if b'"one"' in data:
            await asks.wait()
            for _ in range(10):
                await asyncio.sleep(0)
            monkeypatch.setattr(Log, "append", append)
            raise StoreFull
        await append(self, run, n, to, data)

    monkeypatch.setattr(Log, "append", full)

    async def nothing() -> None:
        pass

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        await step.run("one", nothing)
        await asyncio.sleep(0.05)  # the record trails meanwhile
        asks.set()
        return (await step.ask("developer", "go on?")).text

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
        state = await engine.state(run)
        assert "one" in state.root.slots
        await engine.answer()
        assert await engine.result(run) == "yes"


async def test_a_question_that_no_message_holds_is_refused(engine: Engine) -> None:
    """What a letter takes depends on the letter: escaped, this one has six bytes."""

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.ask("developer", "\x01" * 250_000)

    async with engine.works(app_of(handle)):
        block = await engine.blocked(await engine.start())
        assert "question and its context have 1500012 bytes" in block.reason
