"""People ask back instead of answering: an agent, the code or a person replies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from layby import Agent, App, AskBack, Network, NonRetriableError, Role, RoutingAgent, Tokens, tool
from layby.actors.people.answer import Receipt
from layby.bus.reading import every
from layby.client.decision import verify
from layby.runtime.ask_backs import LONGEST, LONGEST_REPLY, MOST
from layby.runtime.times import iso
from layby.tools import ask_developer, make_ask
from layby.views.rows import QuestionRow
from tests.acceptance.test_claims import said
from tests.engine import Engine, app_of, desk, once, until
from tests.scripted import Scripted, asks, calls, done, read, results, routes, says

pytestmark = pytest.mark.nats
SUBJECT = "developer.ask-back.T1.ada"


def asking(*roles: Role | str, **options: Any) -> App:
    """An app whose run asks a developer once, with these options."""

    async def handle(event: dict[str, Any], step: Any) -> dict[str, Any]:
        del event
        answer = await step.ask("developer", "Known?", default=None, **options)
        return {"text": answer.text, "by": answer.by}

    return app_of(handle, roles=roles or ["developer", "support"])


def says_back(text: Any) -> Callable[[AskBack], Any]:
    """A function that replies this, whatever is asked."""
    return lambda asked: text if asked.by else None


def echo(asked: AskBack) -> str:
    return asked.text


async def told(engine: Engine, seq: int) -> list[Receipt]:
    """The receipts for what was said at a sequence, so far."""
    found = every(engine.wire, "QUESTIONS", "developer.receipt.T1")
    receipts = [msgspec.json.decode(each.data, type=Receipt) async for each in found]
    return [each for each in receipts if each.seq == seq]


async def replied(engine: Engine, seq: int) -> Receipt:
    """The receipt of the reply, once it is there."""

    async def look() -> list[Receipt]:
        return [each for each in await told(engine, seq) if each.outcome != "recorded"]

    return (await until(look))[0]


async def listed(engine: Engine, replies: int) -> QuestionRow:
    """The row of the open question, once it shows so many replies."""

    async def look() -> list[QuestionRow]:
        rows = await engine.client.questions("developer")
        return [
            row for row in rows if sum(bool(each.replied_at) for each in row.asked_back) >= replies
        ]

    return (await until(look))[0]


async def ask_back(engine: Engine, text: str, subject: str = SUBJECT) -> Receipt:
    """Ask back; the receipt of the reply."""
    ack = await engine.wire.store(subject, text.encode())
    return await replied(engine, ack.seq)


# -- an agent replies --------------------------------------------------------------------------


async def test_an_agent_replies_without_a_trace_in_its_conversation(
    engine: Engine,
) -> None:
    model = Scripted(asks("Refund 900 EUR?"), says("It was charged twice."), says("Refunded."))
    agent = Agent("triage", model=model, tools=[ask_developer])
    async with engine.works(desk(agent)):
        run = await engine.start()
        question = await engine.question()
        reply = await ask_back(engine, "Why so much?")
        assert (reply.outcome, reply.by, reply.reply) == (
            "replied",
            "triage",
            "It was charged twice.",
        )
        assert (reply.question, reply.act) == (question.id, "ask-back")
        row = await listed(engine, 1)
        [shown] = row.asked_back
        assert (shown.by, shown.text, shown.reply, shown.replied_by, shown.vouched) == (
            "ada",
            "Why so much?",
            "It was charged twice.",
            "triage",
            "nats",
        )
        assert row.deadline == question.deadline, "the clock runs on unless told otherwise"
        await engine.answer(text="yes")
        result = await engine.result(run)
        assert "recorded" in {each.outcome for each in await told(engine, reply.seq)}
    assert result["text"] == "Refunded."
    conversation, beside, after = model.requests
    assert beside.messages[: len(conversation.messages)] == conversation.messages
    assert beside.tool_choice == "none"
    assert "ada asks you: Why so much?" in read(beside)
    assert len(after.messages) == len(conversation.messages) + 2
    assert [each.name for each in results(after)] == ["ask_developer"]
    assert "Why so much?" not in read(after)
    assert "charged twice" not in read(after)
    assert result["usage"] == 30, "what the reply used counts"
    state = await engine.state(run)
    assert (state.spent.input_tokens, state.spent.output_tokens) == (30, 3)
    kinds = [line.kind for line in await engine.lines(run)]
    assert kinds.index("question.asked_back") < kinds.index("question.replied")


async def test_an_approver_of_a_call_can_ask_its_agent_twice(engine: Engine) -> None:
    @tool(needs_approval=True)
    async def refund(order: str) -> str:
        """Give money back."""
        return f"{order} paid back"

    model = Scripted(
        calls(("refund", {"order": "A7"})), says("It is late."), says("Three weeks."), says("Done.")
    )
    agent = Agent("triage", model=model, tools=[refund])
    async with engine.works(desk(agent)):
        run = await engine.start()
        question = await engine.question()
        assert (await ask_back(engine, "Why?")).reply == "It is late."
        assert (await ask_back(engine, "How late?")).reply == "Three weeks."
        await engine.answer(text=f"approve {question.digest}")
        result = await engine.result(run)
    assert result["calls"] == [["refund", "A7 paid back", False]]
    assert result["usage"] == 40
    assert "They asked before: Why?" in read(model.requests[2])
    assert "You replied: It is late." in read(model.requests[2])


async def test_a_routing_agent_replies_about_the_question_of_its_own_tool(engine: Engine) -> None:
    model = Scripted(asks("Which team?"), says("Either."), routes("anna"), done("ok"))
    router = RoutingAgent("chief", model=model, tools=[ask_developer])
    anna = Agent("anna", model=Scripted(says("Hello.")))
    async with engine.works(desk(anna, router=router)):
        run = await engine.start()
        await engine.question()
        reply = await ask_back(engine, "Is it urgent?")
        assert (reply.by, reply.reply) == ("chief", "Either.")
        await engine.answer(text="anna")
        result = await engine.result(run)
    assert [turn[0] for turn in result["turns"]] == ["anna"]
    assert result["usage"] == 50
    assert "urgent" not in read(model.requests[2])


async def test_an_agent_that_fails_says_so_and_the_question_stays_open(engine: Engine) -> None:
    def fails(request: Any) -> Any:
        del request
        raise NonRetriableError("the model is on holiday")

    model = Scripted(asks(), fails, says("Later then."))
    async with engine.works(desk(Agent("triage", model=model, tools=[ask_developer]))):
        run = await engine.start()
        await engine.question()
        reply = await ask_back(engine, "Why?")
        assert (reply.outcome, reply.by) == ("not_replied", None)
        assert "the model is on holiday" in str(reply.reason)
        [shown] = (await listed(engine, 1)).asked_back
        assert shown.failed
        await engine.answer()
        assert (await engine.result(run))["text"] == "Later then."


async def test_an_agent_without_tokens_says_so(engine: Engine) -> None:
    model = Scripted(asks(), says("Because."), says("Done."))
    agent = Agent("triage", model=model, tools=[ask_developer])
    network = Network("team", agents=[agent], router=once, budget=Tokens(20))

    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        return str((await step.network(network, "go")).text)

    async with engine.works(app_of(handle, network)):
        run = await engine.start()
        await engine.question()
        assert (await ask_back(engine, "Why?")).reply == "Because."
        spent = await ask_back(engine, "Why really?")
        assert (spent.outcome, spent.reason) == ("not_replied", "the agent may use no more tokens")
        await engine.answer()
        assert (await engine.ended(run)).status == "budget_spent", "a reply counts like a response"


# -- code and people reply ---------------------------------------------------------------------


async def test_code_replies_with_a_function(engine: Engine) -> None:
    seen: list[AskBack] = []

    def explains(asked: AskBack) -> str:
        seen.append(asked)
        return f"{asked.by}: look at the order"

    async with engine.works(asking(explain=explains)):
        run = await engine.start()
        question = await engine.question()
        reply = await ask_back(engine, "Which one?")
        assert (reply.outcome, reply.by, reply.reply) == ("replied", None, "ada: look at the order")
        assert seen == [
            AskBack(text="Which one?", by="ada", question_id=question.id, question="Known?")
        ]
        await engine.answer()
        assert await engine.result(run) == {"text": "yes", "by": ""}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (7, "return the reply as text"),
        ("  ", "the reply was empty"),
        ("x" * 2 * LONGEST_REPLY, ""),
    ],
)
async def test_a_function_that_returns_something_odd_harms_nothing(
    engine: Engine, text: Any, why: str
) -> None:
    async with engine.works(asking(explain=says_back(text))):
        run = await engine.start()
        await engine.question()
        reply = await ask_back(engine, "Which one?")
        if why:
            assert (reply.outcome, why in str(reply.reason)) == ("not_replied", True)
        else:
            assert len(str(reply.reply)) == LONGEST_REPLY
        await engine.answer()
        await engine.result(run)


async def test_people_of_another_role_reply_as_they_answer_questions(engine: Engine) -> None:
    async with engine.works(asking(explain="role:support")):
        run = await engine.start()
        question = await engine.question()
        ack = await engine.wire.store(SUBJECT, b"Which customer?")

        async def look() -> list[QuestionRow]:
            return await engine.client.questions("support")

        [request] = await until(look)
        assert request.question == "ada asks back: Which customer?"
        assert "Known?" in request.context
        nested = await said(engine, "support.ask-back.T1.sue", b"What do you mean?")
        assert (nested.outcome, "answer it, or decline it" in str(nested.reason)) == (
            "invalid",
            True,
        )
        answer = await engine.answer(text="ACME", role="support", responder="sue")
        assert answer.outcome == "accepted"
        reply = await replied(engine, ack.seq)
        assert (reply.outcome, reply.by, reply.reply) == ("replied", "sue", "ACME")
        again = await engine.wire.store(SUBJECT, b"Which order?")
        await until(look)
        accepted = await engine.answer(text="no", question_id=question.id, responder="bob")
        assert accepted.outcome == "accepted"
        assert await engine.result(run) == {"text": "no", "by": "bob"}
        assert await engine.client.questions() == [], "nobody is asked for a reply any longer"
        assert [each.outcome for each in await told(engine, again.seq)] == ["recorded"]


async def test_without_a_declared_replier_a_developer_is_asked(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        return str((await step.ask("support", "Known?")).text)

    async with engine.works(app_of(handle, roles=["support", "developer"])):
        run = await engine.start()
        await engine.question()
        await said(engine, "support.ask-back.T1.sue", {"text": "Which customer?"})

        async def look() -> list[QuestionRow]:
            return await engine.client.questions("developer")

        [request] = await until(look)
        assert request.question == "sue asks back: Which customer?"
        await engine.answer(text="ACME", responder="dan")
        assert (await engine.told(run, "question.replied")).data["by"] == "dan"
        await engine.answer(text="yes", role="support")
        assert await engine.result(run) == "yes"


async def test_requests_for_replies_use_up_no_questions_of_the_run(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        first = await step.ask("developer", "One?", explain="role:support")
        second = await step.ask("developer", "Two?")
        return f"{first.text}{second.text}"

    async with engine.works(app_of(handle, roles=["developer", "support"], max_questions=2)):
        run = await engine.start()
        await engine.question()
        await said(engine, SUBJECT, b"Which?")
        await engine.questions(2)
        await engine.answer(text="1", role="developer")
        await engine.told(run, "question.answered")

        async def second() -> list[QuestionRow]:
            return [q for q in await engine.client.questions() if q.question == "Two?"]

        await until(second)
        state = await engine.state(run)
        assert [q.status for q in state.questions.values() if q.about] == ["cancelled"]
        await engine.answer(text="2")
        assert await engine.result(run) == "12"


async def test_an_agent_may_leave_its_replies_to_people(engine: Engine) -> None:
    model = Scripted(asks(), says("Done."))
    ask = make_ask(explain="role:support")
    app = desk(Agent("triage", model=model, tools=[ask]), roles=["developer", "support"])
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
        ack = await engine.wire.store(SUBJECT, b"Who?")
        await engine.questions(2)
        await engine.answer(text="ACME", role="support", responder="sue")
        assert (await replied(engine, ack.seq)).reply == "ACME"
        await engine.answer()
        assert (await engine.result(run))["text"] == "Done."
    assert model.paid == 2


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "body", "why"),
    [
        ("developer.ask-back.T1", b"Why?", "who you are"),
        (SUBJECT, b"", "what you want to know"),
        (SUBJECT, b"\xff", "UTF-8"),
        (SUBJECT, b'{"text": 7}', "what you want to know"),
        (SUBJECT, b'{"text": "\\ud800"}', "surrogate"),
        (SUBJECT, b"x" * (LONGEST + 1), "more than 2000"),
        (SUBJECT, b'{"text": "Why?", "questionId": "q000000000000"}', "no question"),
    ],
)
async def test_what_cannot_be_asked_gets_a_receipt_with_the_reason(
    engine: Engine, subject: str, body: bytes, why: str
) -> None:
    async with engine.works(asking(explain=says_back("Because."))):
        await engine.start()
        await engine.question()
        receipt = await said(engine, subject, body)
        assert (receipt.outcome, receipt.act) == ("invalid", "ask-back")
        assert why in str(receipt.reason)
        assert (await ask_back(engine, "Why?")).reply == "Because."


async def test_nobody_can_ask_back_an_eleventh_time(engine: Engine) -> None:
    async with engine.works(asking(explain=echo)):
        run = await engine.start()
        await engine.question()
        acks = [await engine.wire.store(SUBJECT, f"{n}?".encode()) for n in range(MOST)]
        late = await said(engine, "developer.ask-back.T1.bob", b"And?")
        assert (late.outcome, "10 times" in str(late.reason)) == ("invalid", True)
        replies = [(await replied(engine, ack.seq)).reply for ack in acks]
        assert replies == [f"{n}?" for n in range(MOST)]
        assert (await said(engine, "developer.claim.T1.bob")).outcome == "recorded"
        await engine.answer()
        await engine.result(run)
        closed = await said(engine, SUBJECT, b"Why?")
        assert closed.outcome == "already_answered"


async def test_a_replier_that_cannot_explain_is_an_error_before_anybody_is_asked(
    engine: Engine,
) -> None:
    async with engine.works(asking(explain="role:nobody")):
        run = await engine.start()
        assert "has no role 'nobody'" in (await engine.blocked(run)).reason


# -- the clock ---------------------------------------------------------------------------------


async def over(question: QuestionRow) -> None:
    """Return when the deadline that a question had first is over."""

    async def look() -> bool:
        return iso(time.time()) > question.deadline

    await until(look)


async def test_while_nobody_replies_the_clock_is_stopped_and_then_the_deadline_is_later(
    engine: Engine,
) -> None:
    options: dict[str, Any] = {"explain": "role:support", "clock_stops": True, "timeout": "1500ms"}
    async with engine.works(asking(**options)):
        run = await engine.start()
        question = await engine.question()
        await engine.wire.store(SUBJECT, b"Which customer?")

        async def standing() -> list[QuestionRow]:
            return [row for row in await engine.client.questions("developer") if row.stopped_at]

        [stands] = await until(standing)
        assert stands.deadline > question.deadline, "the latest possible"
        await over(question)

        async def request() -> list[QuestionRow]:
            return await engine.client.questions("support")

        await until(request)
        await engine.answer(text="ACME", role="support", responder="sue")
        row = await listed(engine, 1)
        assert row.stopped_at == ""
        assert question.deadline < row.deadline <= stands.deadline
        state = await engine.ended(run)
        asked = state.questions[question.id]
        assert asked.status == "expired"
        assert state.updated_at >= asked.deadline - 0.01, "not before its new deadline"
    assert msgspec.json.decode(state.result) == {"text": "", "by": ""}


async def _paused(engine: Engine, seconds: float, consumer: str = "ANSWERS.acts-developer") -> None:
    """Let nobody read what is said to the developer besides answers for so long."""
    until_then = {"pause_until": iso(time.time() + seconds)}
    await engine.wire.api(f"CONSUMER.PAUSE.{consumer}", until_then)


@pytest.mark.slow
@pytest.mark.parametrize("clock_stops", [True, False])
async def test_a_question_back_stored_in_time_counts_even_if_it_is_read_late(
    engine: Engine, *, clock_stops: bool
) -> None:
    options = {"explain": "role:support", "clock_stops": clock_stops, "timeout": "4s"}
    async with engine.works(asking(**options)):
        run = await engine.start()
        question = await engine.question()
        await _paused(engine, 60.0)
        seq = (await engine.wire.store(SUBJECT, b"Which customer?")).seq
        line = await engine.told(run, "question.asked_back", "question.expired")
        assert (line.kind, line.detail) == ("question.asked_back", "Which customer?")
        await over(question)
        if clock_stops:

            async def stands() -> list[QuestionRow]:
                return [row for row in await engine.client.questions("developer") if row.stopped_at]

            [row] = await until(stands)
            assert [each.text for each in row.asked_back] == ["Which customer?"]
        else:
            assert (await engine.ended(run)).questions[question.id].status == "expired"
        await _paused(engine, -1.0)
        [receipt] = await until(lambda: told(engine, seq))
        assert receipt.outcome == "recorded"
        if clock_stops:
            await until(lambda: engine.client.questions("support"))
            await engine.answer(text="ACME", role="support", responder="sue")
            assert (await replied(engine, seq)).reply == "ACME"


async def test_a_question_back_after_the_deadline_is_too_late_however_early_it_is_read(
    engine: Engine,
) -> None:
    options = {"explain": "role:support", "clock_stops": True, "timeout": "1s"}
    async with engine.works(asking(**options)):
        run = await engine.start()
        question = await engine.question()
        await over(question)
        seq = (await engine.wire.store(SUBJECT, b"Which customer?")).seq
        assert not (await engine.ended(run)).asked_back
        [receipt] = await until(lambda: told(engine, seq))
        assert receipt.outcome == "too_late"


async def test_an_answer_after_the_first_deadline_counts_while_the_clock_is_stopped(
    engine: Engine,
) -> None:
    role = Role("developer", clock_stops=True)
    app = asking(role, "support", explain="role:support", timeout="3s")
    async with engine.works(app):
        run = await engine.start()
        question = await engine.question()
        await engine.wire.store(SUBJECT, b"Which customer?")
        line = await engine.told(run, "question.asked_back")
        assert line.detail == "Which customer?"
        await over(question)
        assert (await engine.answer(role="developer", responder="bob")).outcome == "accepted"
        assert await engine.result(run) == {"text": "yes", "by": "bob"}


@pytest.mark.parametrize("named", [True, False])
async def test_an_answer_after_the_first_deadline_counts_before_what_was_asked_back_is_read(
    engine: Engine, *, named: bool
) -> None:
    role = Role("developer", clock_stops=True)
    app = asking(role, "support", explain="role:support", timeout="3s")
    async with engine.works(app):
        run = await engine.start()
        question = await engine.question()
        for consumer in ("ANSWERS.acts-developer", "TIMERS.due"):
            await _paused(engine, 60.0, consumer)
        seq = (await engine.wire.store(SUBJECT, b"Which customer?")).seq
        await over(question)
        more = {"question_id": question.id} if named else {}
        receipt = await engine.answer(role="developer", responder="bob", **more)
        assert receipt.outcome == "accepted"
        assert await engine.result(run) == {"text": "yes", "by": "bob"}
        await _paused(engine, -1.0)
        [receipt] = await until(lambda: told(engine, seq))
        assert receipt.outcome == "recorded"


async def test_an_asker_that_never_replies_holds_a_question_open_no_longer_than_twice_its_time(
    engine: Engine,
) -> None:
    options: dict[str, Any] = {"explain": "role:support", "clock_stops": True, "timeout": "1s"}
    async with engine.works(asking(**options)):
        run = await engine.start()
        question = await engine.question()
        await engine.wire.store(SUBJECT, b"Which customer?")
        state = await engine.ended(run)
        asked = state.questions[question.id]
        assert asked.status == "expired"
        assert asked.deadline == pytest.approx(asked.asked_at + 2, abs=0.1)
        assert state.updated_at >= asked.deadline - 0.01


async def test_reminders_wait_while_the_clock_is_stopped(engine: Engine) -> None:
    role = Role("developer", remind=["700ms"], clock_stops=True)
    app = asking(role, "support", explain="role:support", timeout="1h")
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
        await engine.wire.store(SUBJECT, b"Which customer?")
        await engine.questions(2)

        async def fired() -> bool:
            info = await engine.wire.api("STREAM.INFO.TIMERS", {"subjects_filter": "rung.>"})
            pending = await engine.wire.api("CONSUMER.INFO.TIMERS.rungs")
            return not info["state"].get("subjects") and pending["delivered"]["stream_seq"] > 0

        await until(fired)
        assert not [line for line in (await engine.state(run)).ladders.values() if _reached(line)]
        await engine.answer(text="ACME", role="support", responder="sue")
        await engine.told(run, "question.replied")
        assert (await engine.told(run, "question.reminded")).detail == ""


def _reached(ladder: Any) -> bool:
    return any(rung.reached for rung in ladder.rungs)


# -- what others see ---------------------------------------------------------------------------


async def test_a_decision_has_what_was_asked_back_and_a_changed_file_is_found_out(
    engine: Engine,
) -> None:
    async with engine.works(asking(explain=says_back("Because."))):
        run = await engine.start()
        question = await engine.question()
        await ask_back(engine, "Why?")
        await engine.answer(responder="bob")
        await engine.result(run)
    decision = await engine.client.decision(question.id)
    assert decision.asked_back is not None
    [asked] = decision.asked_back
    assert (asked.by, asked.text, asked.reply, asked.replier) == ("ada", "Why?", "Because.", "code")
    checks = list(verify(decision))
    assert all(check.ok for check in checks)
    assert any("1 questions back" in check.what for check in checks)
    forged = msgspec.structs.replace(asked, reply="Approve it.")
    wrong = msgspec.structs.replace(decision, asked_back=[forged])
    assert not all(check.ok for check in verify(wrong))
    without = msgspec.structs.replace(decision, asked_back=None)
    assert all(check.ok for check in verify(without)), "a file of an earlier release"
