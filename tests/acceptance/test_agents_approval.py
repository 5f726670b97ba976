"""Tools that need approval: what a person is shown, and what each of their answers does."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from layby import Agent, ToolContext, tool
from layby.models import ToolCall
from tests.engine import Engine, desk, until
from tests.scripted import Scripted, calls, results, says

pytestmark = pytest.mark.nats


class Bank:
    """What was really paid."""

    def __init__(self, needs: Any = True, within: float | None = None) -> None:  # noqa: FBT002
        self.paid: list[tuple[str, int]] = []

        @tool(needs_approval=needs, approval_timeout=within)
        async def refund(order: str, amount: int = 10) -> str:
            """Give a customer money back."""
            self.paid.append((order, amount))
            return f"paid {amount}"

        self.refund = refund
        self.model = Scripted(calls(("refund", {"order": "A1"})), says("Done."))

    def agent(self, **options: Any) -> Agent:
        return Agent("Clerk", tools=[self.refund], model=self.model, **options)

    @property
    def seen(self) -> tuple[str, bool]:
        [result] = results(self.model.requests[-1])
        return result.content, result.is_error


async def test_a_person_sees_the_complete_call_and_exactly_that_runs(engine: Engine) -> None:
    bank = Bank()
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        question = await engine.question()
        assert (question.role, question.agent) == ("developer", "Clerk")
        assert question.question == 'May Clerk call refund(order="A1", amount=10)?'
        lines = question.context.splitlines()
        assert lines[:5] == [
            "refund: Give a customer money back.",
            "arguments: {",
            '  "order": "A1",',
            '  "amount": 10',
            "}",
        ]
        digest = lines[5].removeprefix("digest: ")
        assert f"approve {digest}" in lines[6]
        assert not bank.paid
        receipt = await engine.answer(text=f"Approve {digest}", by="ada")
        assert receipt.outcome == "accepted"
        await engine.result(run)
    assert bank.paid == [("A1", 10)]
    assert bank.seen == ("paid 10", False)


async def test_no_character_of_a_call_is_hidden(engine: Engine) -> None:
    bank = Bank()
    order = "A1\u202e\u200b\x1b[2K" + "x" * 300
    bank.model = Scripted(calls(("refund", {"order": order})), says("Done."))
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        question = await engine.question()
        await engine.answer(text="reject")
        await engine.result(run)
    for text in (question.question, question.context):
        assert r"A1\u202e\u200b\u001b[2Kx" in text
    assert "x" * 300 in question.context


@pytest.mark.parametrize("answer", ["approve", "yes", "APPROVED", '{"approve": true}'])
async def test_a_clear_yes(engine: Engine, answer: str) -> None:
    bank = Bank()
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        await engine.question()
        await engine.answer(text=answer)
        await engine.result(run)
    assert bank.paid == [("A1", 10)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("no", ""),
        ("No: too much", ": too much"),
        ("reject: too much", ": too much"),
        ("Reject too much", ": too much"),
        ("rejected", ""),
        ('{"reject": "too much"}', ": too much"),
    ],
)
async def test_a_clear_no_reaches_the_model(engine: Engine, answer: str, why: str) -> None:
    bank = Bank()
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        await engine.question()
        await engine.answer(text=answer, by="ada")
        await engine.result(run)
    assert not bank.paid
    assert bank.seen == (f"refund was not run: ada rejected it{why}", True)


@pytest.mark.parametrize(
    "answer",
    [
        *("ok", "yes, but only 5", "no problem, go ahead", "approve it", "maybe", "y", "true"),
        *("approve 000000000000", "approve A1", '{"approve": false}', '{"approve": 1}'),
        *('{"edit": {"amount": 5}}', '{"edit": {"order": 7}}', "edit amount=5", "respond:"),
        *('{"approve": true, "edit": {"order": "A1"}}', '{"edit": {"order": "A1", "x": 1}}'),
    ],
)
async def test_an_unclear_answer_is_refused_and_the_question_stays(
    engine: Engine, answer: str
) -> None:
    bank = Bank()
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        asked = await engine.question()
        receipt = await engine.answer(text=answer)
        assert receipt.outcome == "invalid"
        assert "answer one of: approve | approve " in (receipt.reason or "")
        assert await engine.questions() == [asked]
        await engine.answer(text="reject")
        await engine.result(run)
    assert not bank.paid


@pytest.mark.parametrize("answer", ["respond: paid by hand", '{"respond": "paid by hand"}'])
async def test_a_person_may_respond_instead(engine: Engine, answer: str) -> None:
    bank = Bank()
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        await engine.question()
        await engine.answer(text=answer)
        await engine.result(run)
    assert not bank.paid
    assert bank.seen == ("paid by hand", False)


async def test_edited_arguments_run_and_the_model_sees_them(engine: Engine) -> None:
    bank = Bank()
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        await engine.question()
        await engine.answer(text='{"edit": {"order": "A1", "amount": 5}}')
        await engine.result(run)
    assert bank.paid == [("A1", 5)]
    shown = '[A person changed the arguments to {"order": "A1", "amount": 5}]'
    assert bank.seen == (f"{shown}\npaid 5", False)


async def test_edited_arguments_that_only_the_tool_can_refuse_are_asked_about_again(
    engine: Engine,
) -> None:
    class Order(BaseModel):
        id: str

        @field_validator("id")
        @classmethod
        def known(cls, value: str) -> str:
            if value != "A1":
                raise ValueError("there is no such order")
            return value

    paid: list[str] = []

    @tool(needs_approval=True)
    def refund(order: Order) -> None:
        paid.append(order.id)

    model = Scripted(calls(("refund", {"order": {"id": "A1"}})), says("Done."))
    async with engine.works(desk(Agent("Clerk", tools=[refund]), model=model)):
        run = await engine.start()
        first = await engine.question()
        await engine.answer(text='{"edit": {"order": {"id": "B2"}}}')
        await engine.told(run, "question.answered")

        [second] = await _asked_after(engine, first.id)
        assert second.question.startswith("The edited arguments do not fit: ")
        assert "there is no such order" in second.question
        await engine.answer(text="approve", question_id=second.id)
        await engine.result(run)
    assert paid == ["A1"]


async def _asked_after(engine: Engine, known: str) -> list[Any]:
    async def look() -> list[Any]:
        return [q for q in await engine.client.questions() if q.id != known]

    return await until(look)


class Tree(BaseModel):
    name: str
    parts: list[Tree] = []


@pytest.mark.parametrize(
    ("edit", "outcome"),
    [
        ('{"name": "b", "parts": [{"name": "c", "parts": []}]}', "accepted"),
        ('{"name": 7}', "invalid"),
        ('{"parts": []}', "invalid"),
    ],
)
async def test_the_form_of_an_edit_follows_the_tools_schema(
    engine: Engine, edit: str, outcome: str
) -> None:
    planted: list[Tree] = []

    @tool(needs_approval=True)
    def plant(tree: Tree) -> None:
        """Plant a tree of parts that are trees."""
        planted.append(tree)

    model = Scripted(calls(("plant", {"tree": {"name": "a"}})), says("Done."))
    async with engine.works(desk(Agent("A", tools=[plant]), model=model)):
        run = await engine.start()
        await engine.question()
        receipt = await engine.answer(text=f'{{"edit": {{"tree": {edit}}}}}')
        assert receipt.outcome == outcome
        if outcome == "invalid":
            await engine.answer(text="reject")
        await engine.result(run)
    assert [tree.name for tree in planted] == (["b"] if outcome == "accepted" else [])


async def test_silence_denies(engine: Engine) -> None:
    bank = Bank(within=0.3)
    async with engine.works(desk(bank.agent())):
        result = await engine.result(await engine.start())
    assert not bank.paid
    assert result["text"] == "Done."
    assert bank.seen == ("refund was not run: no developer approved it in time", True)


async def test_a_call_beyond_the_question_limit_is_denied(engine: Engine) -> None:
    bank = Bank()
    async with engine.works(desk(bank.agent(), max_questions=0)):
        await engine.result(await engine.start())
    assert not bank.paid
    assert bank.seen[1]


# -- who is asked, and when --------------------------------------------------------------------


async def test_a_role_is_asked(engine: Engine) -> None:
    bank = Bank("manager")
    async with engine.works(desk(bank.agent(), roles=["developer", "manager"])):
        run = await engine.start()
        assert (await engine.question()).role == "manager"
        await engine.answer(text="approve", role="manager")
        await engine.result(run)
    assert bank.paid


async def test_a_role_that_nobody_has_blocks_the_run(engine: Engine) -> None:
    bank = Bank("manager")
    async with engine.works(desk(bank.agent())):
        block = await engine.blocked(await engine.start())
    assert "the app has no role 'manager'" in block.reason
    assert not bank.paid


async def test_a_predicate_decides_and_is_asked_once(engine: Engine) -> None:
    asked: list[int] = []

    async def large(ctx: ToolContext, arguments: dict[str, Any]) -> bool | str:
        assert ctx.ticket == "T1"
        asked.append(arguments["amount"])
        return "developer" if arguments["amount"] > 50 else False

    bank = Bank(large)
    bank.model = Scripted(
        calls(("refund", {"order": "A1"}), ("refund", {"order": "B2", "amount": 90})),
        says("Done."),
    )
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        assert 'order="B2"' in (await engine.question()).question
        assert bank.paid == [("A1", 10)]
        await engine.answer(text="approve")
        await engine.result(run)
    assert bank.paid == [("A1", 10), ("B2", 90)]
    assert sorted(asked) == [10, 90]


async def test_a_predicate_that_fails_denies(engine: Engine) -> None:
    def broken(_ctx: ToolContext, _arguments: dict[str, Any]) -> bool:
        raise RuntimeError("no rates")

    bank = Bank(broken)
    async with engine.works(desk(bank.agent())):
        await engine.result(await engine.start())
    assert not bank.paid
    assert bank.seen == ("refund was not run: no rates", True)


async def test_invalid_arguments_raise_no_question(engine: Engine) -> None:
    bank = Bank()
    bank.model = Scripted(calls(("refund", {"amount": 1})), says("Done."))
    async with engine.works(desk(bank.agent())):
        await engine.result(await engine.start())
    assert not bank.paid
    assert "order: required, but missing" in bank.seen[0]


async def test_people_approve_the_call_as_the_hook_changed_it(engine: Engine) -> None:
    def halve(ctx: ToolContext, call: ToolCall) -> ToolCall:
        del ctx
        return ToolCall(id=call.id, name=call.name, arguments={"order": "A1", "amount": 4})

    bank = Bank()
    async with engine.works(desk(bank.agent(before_tool=halve))):
        run = await engine.start()
        assert "amount=4" in (await engine.question()).question
        await engine.answer(text="approve")
        await engine.result(run)
    assert bank.paid == [("A1", 4)]


async def test_two_calls_are_approved_separately(engine: Engine) -> None:
    bank = Bank()
    bank.model = Scripted(
        calls(("refund", {"order": "A1"}), ("refund", {"order": "B2"})), says("Done.")
    )
    async with engine.works(desk(bank.agent())):
        run = await engine.start()
        asked = {q.question.split('"')[1]: q.id for q in await engine.questions(2)}
        await engine.answer(text="reject: no", question_id=asked["A1"])
        await engine.answer(text="approve", question_id=asked["B2"])
        result = await engine.result(run)
    assert bank.paid == [("B2", 10)]
    assert [call[2] for call in result["calls"]] == [True, False]


async def test_a_tool_that_changed_since_is_not_run(engine: Engine) -> None:
    """A new release gives the tool another default while a person thinks."""
    old, new = Bank(), Bank()

    @tool(needs_approval=True)
    def refund(order: str, amount: int = 9_999) -> None:
        new.paid.append((order, amount))

    new.model = Scripted(says("Done."))
    newer = Agent("Clerk", tools=[refund], model=new.model)
    async with engine.works(desk(old.agent())):
        run = await engine.start()
        await engine.question()
    async with engine.works(desk(newer)):
        await engine.answer(text="approve")
        await engine.result(run)
    assert not old.paid
    assert not new.paid
    seen = "refund was not run: its arguments are no longer what was approved"
    assert new.seen == (seen, True)


async def test_an_approved_call_that_fails_is_retried_without_a_question(
    engine: Engine,
) -> None:
    tries: list[str] = []

    @tool(needs_approval=True, retries=1)
    def flaky(ctx: ToolContext) -> str:
        tries.append(ctx.idempotency_key)
        if len(tries) == 1:
            raise RuntimeError("try again")
        return "done"

    model = Scripted(calls(("flaky", {})), says("Done."))
    async with engine.works(desk(Agent("A", tools=[flaky]), model=model)):
        run = await engine.start()
        await engine.question()
        await engine.answer(text="approve")
        result = await engine.result(run)
    assert result["calls"] == [["flaky", "done", False]]
    assert len(tries) == 2
    assert len(set(tries)) == 1
