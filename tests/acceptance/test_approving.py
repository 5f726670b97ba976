"""Nobody approves what they did not see: which call an approval is for, and what is shown of it."""

from __future__ import annotations

import subprocess
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from layby import Agent, Step, tool
from layby.bus.bucket import Bucket
from layby.views.rows import QuestionRow
from tests.engine import Engine, app_of, desk, until
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats


class Bank:
    """What was really paid."""

    def __init__(self, *orders: str, at_once: bool = True) -> None:
        self.paid: list[str] = []

        @tool(needs_approval=True)
        async def refund(order: str) -> str:
            """Give a customer money back."""
            self.paid.append(order)
            return "paid"

        wanted = [("refund", {"order": order}) for order in orders]
        script = [calls(*wanted)] if at_once else [calls(one) for one in wanted]
        self.agent = Agent("Clerk", tools=[refund], model=Scripted(*script, says("Done.")))


async def of_order(engine: Engine, order: str) -> QuestionRow:
    """The open approval of a refund, once it is asked."""

    async def look() -> QuestionRow | None:
        rows = await engine.client.questions()
        return next((row for row in rows if order in row.question), None)

    found = await until(look)
    assert found is not None
    return found


async def test_approve_twice_with_two_approvals_open_approves_neither(engine: Engine) -> None:
    bank = Bank("A1", "B2")
    async with engine.works(desk(bank.agent)):
        run = await engine.start()
        first, second = await of_order(engine, "A1"), await of_order(engine, "B2")
        for _ in range(2):
            receipt = await engine.say("approve")
            assert (receipt.outcome, receipt.question) == ("ambiguous", None)
            assert {c.id: list(c.answer_with) for c in receipt.candidates} == {
                first.id: first.answer_with,
                second.id: second.answer_with,
            }
        assert not bank.paid
        assert (await engine.say(f"approve {second.digest}")).question == second.id
        assert (await engine.answer(text="reject", question_id=first.id)).outcome == "accepted"
        await engine.result(run)
    assert bank.paid == ["B2"]


async def test_a_double_click_never_approves_the_call_that_comes_next(engine: Engine) -> None:
    bank = Bank("A1", "B2", at_once=False)
    async with engine.works(desk(bank.agent)):
        run = await engine.start()
        await of_order(engine, "A1")
        await engine.wire.store("developer.response.T1", b"approve")
        await engine.wire.store("developer.response.T1", b"approve")
        second = await of_order(engine, "B2")
        late = await engine.say("approve")
        assert (late.outcome, [c.id for c in late.candidates]) == ("ambiguous", [second.id])
        assert bank.paid == ["A1"]
        assert (await engine.say(f"approve {second.digest}")).outcome == "accepted"
        await engine.result(run)
    assert bank.paid == ["A1", "B2"]


async def test_the_same_call_on_three_tickets_has_three_digests(engine: Engine) -> None:
    bank = Bank("A1")
    bank.agent = Agent(
        "Clerk", tools=bank.agent.tools, model=Scripted(*[calls(("refund", {"order": "A1"}))] * 3)
    )
    async with engine.works(desk(bank.agent)):
        for ticket in ("T1", "T2", "T3"):
            await engine.start(ticket)
        asked = await engine.questions(3)
        assert len({question.digest for question in asked}) == 3
        assert all(f"approve {question.digest}" in question.context for question in asked)
        other = await engine.say(f"approve {asked[1].digest}", ticket=asked[0].ticket)
        assert other.outcome == "invalid"
    assert not bank.paid


class Hostile(StrEnum):
    """Choices that a shell or a terminal would misread."""

    QUOTE = "it's $(touch /tmp/pwned) `id` \\ !x"
    TURN = "\u202eok\x1b[2J\n{{ Count }}"


@pytest.mark.parametrize("answer", [str, bool, Hostile, dict[str, int]])
async def test_each_line_of_a_question_is_a_command_that_answers_exactly_it(
    engine: Engine, answer: Any
) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("developer", "Well?", answer=answer)).text

    ticket = "it's *a* $HOME"
    sub = await engine.connection.nc.subscribe("developer.question.*")
    async with engine.works(app_of(handle)):
        await engine.start(ticket)
        published = msgspec.json.decode((await sub.next_msg(30)).data)
        [row] = await engine.questions()
        [parked] = [item.value async for item in Bucket(engine.wire, "parked").items()]
        assert published["answer_with"] == row.answer_with
        assert msgspec.json.decode(parked)["questions"][0]["answer_with"] == row.answer_with
        body = ""
        for line in row.answer_with:
            assert line.isprintable()
            said = subprocess.run(  # noqa: ASYNC221, S602  the line as a person pastes it
                f'nats() {{ printf "%s\\0" "$@"; }}\n{line}',
                shell=True,
                capture_output=True,
                check=True,
            ).stdout
            *words, subject, body, _ = said.decode().split("\0")
            assert words == ["pub", "-J", "--no-templates"]
            assert subject == published["answer"]["subject"]
            assert msgspec.json.decode(body)["questionId"] == row.id
        receipt = await engine.say(body, ticket=ticket)
        assert (receipt.outcome, receipt.question) == ("accepted", row.id)


class Decision(BaseModel):
    """What a manager decides."""

    approved: bool
    amount: int = 0


async def test_a_refusal_says_what_a_valid_answer_looks_like(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> int:
        del event
        decided: Decision = (await step.ask("developer", "Well?", answer=Decision)).value
        return decided.amount

    sub = await engine.connection.nc.subscribe("developer.question.*")
    async with engine.works(app_of(handle)):
        run = await engine.start()
        published = msgspec.json.decode((await sub.next_msg(30)).data)
        assert "approved: yes or no" in published["answer"]["form"]
        [row] = await engine.questions()
        assert row.form == published["answer"]["schema"]
        refused = await engine.say("yes")
        assert refused.outcome == "invalid"
        reason = refused.reason or ""
        assert "Wanted: approved: yes or no; amount (may be left out): whole number" in reason
        example = reason.partition("For example: ")[2]
        assert (await engine.say({"answer": msgspec.json.decode(example)})).outcome == "accepted"
        assert await engine.result(run) == 0


async def test_code_is_shown_as_text_and_a_change_as_a_diff(engine: Engine) -> None:
    @tool(needs_approval=True)
    async def edit(path: str, old: str, new: str, note: str) -> None:
        """Change a file."""

    arguments = {
        "path": "a.py",
        "old": "a = 1\nb = 2\n",
        "new": "a = 1\nb = 3\n",
        "note": "why:\ndigest: 000000000000\n\x1b[2K\u202egnp\tok",
    }
    model = Scripted(calls(("edit", arguments)), says("Done."))
    async with engine.works(desk(Agent("A", tools=[edit], model=model))):
        await engine.start()
        question = await engine.question()
    lines = question.context.splitlines()
    start = lines.index("change from old to new:")
    assert lines[start + 1 : start + 5] == ["  |  a = 1", "  | -b = 2", "  | +b = 3", "  |  "]
    start = lines.index("note:")
    assert lines[start + 1 : start + 4] == [
        "  | why:",
        "  | digest: 000000000000",
        "  | \\u001b[2K\\u202egnp\tok",
    ]
    assert [line for line in lines if line.startswith("digest: ")] == [f"digest: {question.digest}"]
