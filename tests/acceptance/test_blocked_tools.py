"""Tools whose failures people mend, and calls that a deploy leaves without their tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import Agent, App, AskOnFailure, tool
from layby.actors.models.model import Message, ModelRequest, ModelResponse, ToolCall, ToolResult
from layby.actors.networks.router import RoutingAgent
from layby.tools import Tool, ToolContext, ask_developer
from layby.views.rows import QuestionRow
from tests.engine import Engine, desk, until
from tests.scripted import Scripted, calls, results, says

pytestmark = pytest.mark.nats


class Shop:
    """A tool that fails while it is closed, and what it and its hook saw."""

    def __init__(self) -> None:
        self.closed = True
        self.keys: list[str] = []
        self.charged: list[int] = []
        self.hooked: list[Any] = []

    def tool(self, **options: Any) -> Tool[..., Any]:
        @tool(on_failure="ask", **options)
        async def refund(ctx: ToolContext, amount: int) -> str:
            """Pay money back."""
            self.keys.append(ctx.idempotency_key)
            await ctx.step.run("charge", self.charged.append, amount)
            if self.closed or amount > 100:
                raise RuntimeError(f"cannot refund {amount}")
            return f"refunded {amount}"

        return refund

    async def hook(self, ctx: Any, call: ToolCall) -> None:
        del ctx
        self.hooked.append(call.arguments["amount"])


def agent(*tools: Tool[..., Any], amount: int = 5, **options: Any) -> tuple[App, Scripted]:
    script = [calls(("refund", {"amount": amount})), says("done")]
    model = Scripted(*script)
    return desk(Agent("A", tools=tools, **options), model=model), model


def seen(model: Scripted) -> list[tuple[str, bool]]:
    return [(each.content, each.is_error) for each in results(model.requests[-1])]


async def another(engine: Engine, than: QuestionRow) -> QuestionRow:
    async def look() -> QuestionRow | None:
        found = [each for each in await engine.client.questions() if each.id != than.id]
        return found[0] if found else None

    found = await until(look)
    assert found is not None
    return found


async def test_a_failed_call_is_retried_when_a_person_decides_so(engine: Engine) -> None:
    shop = Shop()
    app, model = agent(shop.tool())
    async with engine.works(app), engine.works(app):
        run = await engine.start()
        first = await engine.question(run=run)
        assert "Tool 'refund' failed: RuntimeError: cannot refund 5 in refund (" in first.question
        assert (first.agent, '"amount": 5' in first.context) == ("A", True)
        await engine.answer(text="retry")
        second = await another(engine, first)
        shop.closed = False
        await engine.answer(text="retry", question_id=second.id)
        await engine.result(run)
    titles = [line.title for line in await engine.lines(run) if line.kind == "step.retried"]
    assert titles == ["refund", "refund"]
    assert seen(model) == [("refunded 5", False)]
    assert (len(shop.keys), len(set(shop.keys)), shop.charged) == (3, 1, [5])


async def test_an_edited_call_goes_through_its_hook_and_its_approval(engine: Engine) -> None:
    shop = Shop()
    shop.closed = False
    app, model = agent(shop.tool(needs_approval=True), amount=500, before_tool=shop.hook)
    async with engine.works(app):
        run = await engine.start()
        approval = await engine.question(run=run)
        await engine.answer(text="approve")
        failed = await another(engine, approval)
        edit = '{"edit": {"amount": %s}}'
        bad = await engine.answer(text=edit % '"much"', question_id=failed.id)
        assert bad.outcome == "invalid"
        await engine.answer(text=edit % "7", question_id=failed.id)
        again = await another(engine, failed)
        assert again.question == "May A call refund(amount=7)?"
        assert again.id != approval.id
        await engine.answer(text="approve", question_id=again.id)
        await engine.result(run)
    assert shop.hooked == [500, 7]
    note = '[A person changed the arguments to {"amount": 7}]\n'
    assert seen(model) == [(f"{note}refunded 7", False)]


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ('{"skip": {"id": 7}}', ('{"id":7}', False)),
        ("fail", ("refund failed: cannot refund 5", True)),
    ],
)
async def test_a_failed_call_gets_a_value_or_reaches_the_model(
    engine: Engine, said: str, result: tuple[str, bool]
) -> None:
    shop = Shop()
    app, model = agent(shop.tool())
    async with engine.works(app):
        run = await engine.start()
        await engine.question(run=run)
        await engine.answer(text=said)
        await engine.result(run)
    assert seen(model) == [result]


async def test_after_silence_a_failed_call_reaches_the_model(engine: Engine) -> None:
    @tool(on_failure=AskOnFailure(timeout="1s"), retries=1)
    async def refund(amount: int) -> str:
        raise RuntimeError(f"cannot refund {amount}")

    app, model = agent(refund)
    async with engine.works(app):
        await engine.result(await engine.start())
    assert seen(model) == [("refund failed: cannot refund 5", True)]


async def test_two_parallel_failed_calls_are_decided_one_by_one(engine: Engine) -> None:
    shop = Shop()
    mine = shop.tool()

    @tool(on_failure="ask")
    async def ship(ctx: ToolContext, to: str) -> str:
        ctx.state["shipped"] = to
        if shop.closed:
            raise RuntimeError("no ship")
        return f"shipped to {to}"

    model = Scripted(calls(("refund", {"amount": 5}), ("ship", {"to": "Oslo"})), says("done"))
    app = desk(Agent("A", tools=[mine, ship]), model=model)
    async with engine.works(app), engine.works(app):
        run = await engine.start()
        both = await engine.questions(2, run=run)
        shop.closed = False
        await asyncio.gather(
            *(engine.answer(text="retry", question_id=question.id) for question in both)
        )
        found = await engine.result(run)
    assert seen(model) == [("refunded 5", False), ("shipped to Oslo", False)]
    assert (len(shop.keys), shop.charged, found["state"]) == (2, [5], {"shipped": "Oslo"})


async def test_a_routers_tool_is_approved(engine: Engine) -> None:
    shop = Shop()
    shop.closed = False
    thinks = Scripted(
        calls(("refund", {"amount": 5})), calls(("done", {"summary": "paid back"})), name="router"
    )
    router = RoutingAgent("R", tools=[shop.tool(needs_approval=True)], model=thinks)
    async with engine.works(desk(Agent("A"), router=router, model=Scripted(says("never")))):
        run = await engine.start()
        assert (await engine.question(run=run)).question == "May R call refund(amount=5)?"
        await engine.answer(text="approve")
        assert (await engine.result(run))["text"] == "paid back"
    assert seen(thinks) == [("refunded 5", False)]


async def test_a_routers_tool_is_retried_when_a_person_decides_so(engine: Engine) -> None:
    shop = Shop()
    thinks = Scripted(
        calls(("refund", {"amount": 5})), calls(("done", {"summary": "paid back"})), name="router"
    )
    router = RoutingAgent("R", tools=[shop.tool()], model=thinks)
    app = desk(Agent("A"), router=router, model=Scripted(says("never")))
    async with engine.works(app):
        run = await engine.start()
        await engine.question(run=run)
        shop.closed = False
        await engine.answer(text="retry")
        assert (await engine.result(run))["text"] == "paid back"
    assert seen(thinks) == [("refunded 5", False)]
    assert (len(shop.keys), shop.charged) == (2, [5])


# -- a deploy in between -----------------------------------------------------------------------


def told_in(message: Message) -> list[ToolResult]:
    return [part for part in message.parts if isinstance(part, ToolResult)]


def deployed(*tools: Tool[..., Any]) -> App:
    """A release whose model calls `refund`, whatever tools there are."""

    def answers(request: ModelRequest) -> ModelResponse:
        found = results(request)
        return says(found[-1].content) if found else calls(("refund", {"amount": 5}))

    return desk(Agent("A", tools=tools), model=Scripted(answers))


async def test_a_deploy_without_the_tool_that_was_approved_blocks_the_run(engine: Engine) -> None:
    shop = Shop()
    shop.closed = False
    async with engine.works(deployed(shop.tool(needs_approval=True))):
        run = await engine.start()
        await engine.question(run=run)
    async with engine.works(deployed()):
        await engine.answer(text="approve")
        block = await engine.blocked(run)
        assert (block.kind, "no longer has the tool 'refund'" in block.reason) == ("code", True)
    assert shop.keys == []
    async with engine.works(deployed(shop.tool(needs_approval=True))):
        assert (await engine.result(run))["text"] == "refunded 5"
    assert shop.charged == [5]


async def test_a_deploy_without_the_tool_whose_failure_is_asked_about_blocks_the_run(
    engine: Engine,
) -> None:
    shop = Shop()
    async with engine.works(deployed(shop.tool())):
        run = await engine.start()
        await engine.question(run=run)
    shop.closed = False
    async with engine.works(deployed()):
        await engine.answer(text="retry")
        assert (await engine.blocked(run)).kind == "code"
    async with engine.works(deployed(shop.tool())):
        assert (await engine.result(run))["text"] == "refunded 5"


async def test_an_approval_is_waited_for_when_a_deploy_no_longer_needs_it(engine: Engine) -> None:
    shop = Shop()
    shop.closed = False
    async with engine.works(deployed(shop.tool(needs_approval=True))):
        run = await engine.start()
        await engine.question(run=run)
    async with engine.works(deployed(shop.tool())):
        await engine.answer(text="reject: too much")
        assert "rejected it: too much" in (await engine.result(run))["text"]
    assert shop.keys == []


async def test_a_finished_call_no_longer_needs_its_tool(engine: Engine) -> None:
    shop = Shop()
    shop.closed = False

    def answers(request: ModelRequest) -> ModelResponse:
        found = [each.content for message in request.messages for each in told_in(message)]
        asks = ("ask_developer", {"question": "Well?"})
        script = [calls(("refund", {"amount": 5})), calls(asks), says(" ".join(found))]
        return script[len(found)]

    def release(*tools: Tool[..., Any]) -> App:
        return desk(Agent("A", tools=[*tools, ask_developer]), model=Scripted(answers))

    async with engine.works(release(shop.tool(needs_approval=True))):
        run = await engine.start()
        approval = await engine.question(run=run)
        await engine.answer(text="approve")
        asked = await another(engine, approval)
    async with engine.works(release()):
        await engine.answer(text="fine", question_id=asked.id)
        assert (await engine.result(run))["text"].startswith("refunded 5 ")


async def test_a_tool_that_never_existed_is_reported_to_the_model(engine: Engine) -> None:
    async with engine.works(deployed()):
        run = await engine.start()
        assert "there is no tool named 'refund'" in (await engine.result(run))["text"]
