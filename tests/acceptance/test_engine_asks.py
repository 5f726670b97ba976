"""Questions to people: how they are asked, answered, refused, and given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from layby import Agent, App, AskTimedOut, Network, QuestionLimit, Step, tool
from layby.bus.bucket import Bucket
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.token import encode
from layby.client import NoReceipt
from layby.tools import ToolContext, ask_developer, make_ask
from layby.views.rows import QuestionRow
from tests.engine import Engine, app_of, desk, is_handled, once, until
from tests.scripted import Scripted, asks, calls, results, says

pytestmark = pytest.mark.nats

LEFT_OUT = {
    *("accept", "call", "sha256", "confidential", "encrypted", "to", "only", "ladder", "asked_of"),
    *("quorum", "votes", "claim", "declined", "cards", "asked_back", "stopped_at", "opened"),
}
"""Fields of a row that a published question has only where they say something."""


async def one_question(event: dict[str, Any], step: Step) -> dict[str, str]:
    """Ask once; the answer is the run's result."""
    answer = await step.ask("developer", f"What about {event['ticket']}?", context="It is urgent")
    return {"text": answer.text, "by": answer.by, "id": answer.question_id}


def seconds_left(question: QuestionRow) -> float:
    deadline, asked = map(datetime.fromisoformat, (question.deadline, question.asked_at))
    return (deadline - asked).total_seconds()


# -- the question ------------------------------------------------------------------------------


async def test_a_question_is_published_with_how_to_answer_it(engine: Engine) -> None:
    sub = await engine.connection.nc.subscribe("developer.question.*")
    async with engine.works(app_of(one_question)):
        run = await engine.start("ACME-1.2")
        msg = await sub.next_msg(30)
        published = msgspec.json.decode(msg.data)
        row = await engine.question()
    assert msg.subject == "developer.question.ACME-1=2E2"
    for key, value in msgspec.structs.asdict(row).items():
        left_out = key == "status" or (key in LEFT_OUT and not value)
        assert left_out or published[key] == value
    assert published["answer"]["subject"] == "developer.response.ACME-1=2E2"
    assert row.ticket == "ACME-1.2"
    assert (row.role, row.run) == ("developer", run)
    assert (row.question, row.context) == ("What about ACME-1.2?", "It is urgent")


async def test_a_parked_run_waits_and_holds_nothing(engine: Engine) -> None:
    async with engine.works(app_of(one_question)):
        run = await engine.start()
        await engine.question()
        assert (await engine.state(run)).status == "waiting"
        consumers = ("EVENTS.on-handle", "RUNS.workflow-handle", "RUNS.human-developer")
        await until(lambda: is_handled(engine.wire, *consumers))
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not any(run in name for name in names)


# -- deadlines ---------------------------------------------------------------------------------


async def test_the_deadline_is_the_calls_or_else_the_apps(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        await step.ask("developer", "Well?", timeout=event.get("timeout"))

    async with engine.works(app_of(handle, ask_timeout="2h")):
        own, apps = await engine.start("a", timeout="10m"), await engine.start("b")
        asked = {q.run: q for q in await engine.questions(2)}
    assert seconds_left(asked[own]) == pytest.approx(600, abs=2)
    assert seconds_left(asked[apps]) == pytest.approx(7200, abs=2)


async def test_a_tools_deadline_is_its_own_and_four_hours_unless_said(engine: Engine) -> None:
    patient, quick = make_ask(name="patient"), make_ask(name="quick", timeout="5m")
    model = Scripted(calls(("patient", {"question": "a"}), ("quick", {"question": "b"})))
    async with engine.works(desk(Agent("A", tools=[patient, quick]), model=model)):
        await engine.start()
        asked = {q.question: q for q in await engine.questions(2)}
    assert seconds_left(asked["a"]) == pytest.approx(4 * 3600, abs=2)
    assert seconds_left(asked["b"]) == pytest.approx(300, abs=2)
    assert asked["a"].agent == "A"


async def test_a_deadline_that_nobody_catches_ends_the_run_as_timed_out(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.ask("developer", "Anybody?", timeout=0.3)

    async with engine.works(app_of(handle)):
        run = await engine.start()
        lines = await engine.lines(run)
        state = await engine.state(run)
    assert "question.expired" in [line.kind for line in lines]
    assert state.status == "timed_out"
    assert "nobody with the role 'developer' answered" in state.error


async def test_a_deadline_is_an_error_result_for_the_model(engine: Engine) -> None:
    model = Scripted(asks("Anybody?"), says("I go on alone."))
    agent = Agent("A", tools=[make_ask(timeout=0.3)])
    async with engine.works(desk(agent, model=model)):
        result = await engine.result(await engine.start())
    assert result["text"] == "I go on alone."
    told = results(model.requests[-1])
    assert [r.is_error for r in told] == [True]
    assert "nobody with the role 'developer' answered by" in told[0].content


async def test_a_deadline_can_be_caught_and_is_the_same_when_replayed(engine: Engine) -> None:
    caught: list[str] = []

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        try:
            await step.ask("developer", "Anybody?", timeout=0.3)
        except AskTimedOut as error:
            caught.append(str(error))
        return (await step.ask("developer", "And now?")).text

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.told(run, "question.expired")
        await until(lambda: _asked(engine, "And now?"))
        await engine.answer(text="now, yes")
        assert await engine.result(run) == "now, yes"
    assert len(caught) == 2
    assert len(set(caught)) == 1


async def _asked(engine: Engine, question: str) -> bool:
    return [q.question for q in await engine.client.questions()] == [question]


async def test_a_deadline_fires_even_if_no_worker_was_running_when_it_was_due(
    engine: Engine,
) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.ask("developer", "Anybody?", timeout=2)

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
    await engine.due()
    assert (await engine.state(run)).status == "waiting"
    async with engine.works(app_of(handle)):
        assert (await engine.ended(run)).status == "timed_out"


# -- the limit ---------------------------------------------------------------------------------


async def test_a_model_that_asks_and_asks_is_stopped(engine: Engine) -> None:
    model = Scripted(asks("1?"), asks("2?"), asks("3?"), says("enough"))
    async with engine.works(desk(Agent("A", tools=[ask_developer]), model=model, max_questions=2)):
        run = await engine.start()
        for number in "12":
            await until(partial(_asked, engine, f"{number}?"))
            await engine.answer(text="no")
        result = await engine.result(run)
    assert result["text"] == "enough"
    assert [is_error for _, _, is_error in result["calls"]] == [False, False, True]
    assert "this run has asked 2 questions, as many as it may" in result["calls"][-1][1]


async def test_a_body_may_catch_the_limit_and_go_on(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        said: list[str] = []
        try:
            while True:
                said.append((await step.ask("developer", f"{len(said)}?")).text)
        except QuestionLimit as error:
            said.append(str(error))
        await step.sleep("50ms")
        return [*said, await step.run("after", str, "after")]

    async with engine.works(app_of(handle, max_questions=1)):
        run = await engine.start()
        await engine.question()
        await engine.answer(text="one")
        one, limit, after = await engine.result(run)
    assert (one, after) == ("one", "after")
    assert "as many as it may" in limit


async def test_a_limit_that_nobody_catches_fails_the_run(engine: Engine) -> None:
    async with engine.works(app_of(one_question, max_questions=0)):
        state = await engine.ended(await engine.start())
    assert state.status == "failed"
    assert "as many as it may" in state.error


# -- forms of an answer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text", "by"),
    [
        ("ship it", "ship it", ""),
        ("  ship it\n", "ship it", ""),
        ("Größe: 5 µm ✓", "Größe: 5 µm ✓", ""),
        ({"answer": "ship it"}, "ship it", ""),
        ({"response": "ship it", "by": "ada"}, "ship it", "ada"),
        ({"text": "ship it", "other": 1}, "ship it", ""),
        ({"answer": True}, "true", ""),
        ({"answer": 42}, "42", ""),
        ('["not", "an", "object"]', '["not", "an", "object"]', ""),
        ('"quoted"', '"quoted"', ""),
    ],
)
async def test_an_answer_may_be_text_or_json(
    engine: Engine, body: str | dict[str, Any], text: str, by: str
) -> None:
    async with engine.works(app_of(one_question)):
        run = await engine.start()
        asked = await engine.question()
        receipt = await engine.say(body)
        assert (receipt.outcome, receipt.question) == ("accepted", asked.id)
        assert await engine.result(run) == {"text": text, "by": by, "id": asked.id}


async def test_the_subject_says_who_answered_and_no_body_can_say_otherwise(engine: Engine) -> None:
    async with engine.works(app_of(one_question)):
        run = await engine.start()
        await engine.question()
        receipt = await engine.say({"answer": "yes", "by": "the boss"}, responder="ada")
        assert receipt.by == "ada"
        assert (await engine.result(run))["by"] == "ada"


async def test_the_tool_gives_the_model_the_answer_who_gave_it_and_when(engine: Engine) -> None:
    model = Scripted(asks("May I?"), says("Thanks."))
    began = datetime.now(UTC) - timedelta(seconds=1)
    async with engine.works(desk(Agent("A", tools=[ask_developer]), model=model)):
        run = await engine.start()
        await engine.question()
        await engine.answer(text="you may", by="ada")
        await engine.ended(run)
    result = results(model.requests[-1])[0]
    told = msgspec.json.decode(result.content)
    assert (told["answer"], told["by"], result.is_error) == ("you may", "ada", False)
    assert began < datetime.fromisoformat(told["answered_at"]) <= datetime.now(UTC)


# -- receipts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"   ", "empty"),
        (b"\xff\xfe", "not UTF-8"),
        ('{"answer": ', "not valid JSON: check its quotes"),
        ({"anser": "yes"}, "none of the fields"),
        ({"answer": ""}, "empty"),
        ({"answer": None}, "null"),
        ({"answer": ["a", "b"]}, "must be text"),
        ('{"answer": "\\ud800"}', "UTF-8"),
        ('{"answer": "yes", "by": "\\ud800"}', "UTF-8"),
        ({"answer": "yes", "by": 7}, "must be text"),
        ({"answer": "yes", "questionId": "q-of-somebody-else"}, "no question"),
        ({"answer": "yes", "ticketId": "T2"}, "is for ticket 'T2'"),
    ],
)
async def test_a_meaningless_answer_is_refused_and_the_question_stays(
    engine: Engine, body: bytes | str | dict[str, Any], reason: str
) -> None:
    async with engine.works(app_of(one_question)):
        run = await engine.start()
        await engine.question()
        receipt = await engine.say(body)
        assert receipt.outcome == "invalid"
        assert reason in (receipt.reason or "")
        assert (await engine.answer(text="yes")).outcome == "accepted"
        assert (await engine.result(run))["text"] == "yes"


async def test_the_receipt_of_a_second_answer_says_who_was_first(engine: Engine) -> None:
    async with engine.works(app_of(one_question)):
        run = await engine.start()
        asked = await engine.question()
        assert (await engine.answer(text="yes", by="ada")).outcome == "accepted"
        await engine.ended(run)
        second = await engine.answer(text="no", by="bob")
        named = await engine.answer(text="no", by="bob", question_id=asked.id)
        assert (await engine.state(run)).questions[asked.id].text == "yes"
    for receipt in (second, named):
        assert (receipt.outcome, receipt.by) == ("already_answered", "ada")
        assert receipt.question == asked.id
        assert "ada answered at 20" in (receipt.reason or "")


async def test_an_answer_after_the_deadline_is_too_late(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.ask("developer", "Anybody?", timeout=2)

    async with engine.works(app_of(handle)):
        run = await engine.start()
        asked = await engine.question()
        await engine.ended(run)
        receipt = await engine.answer(text="me", question_id=asked.id)
    assert (receipt.outcome, receipt.question) == ("too_late", asked.id)
    assert "the deadline passed at 20" in (receipt.reason or "")


async def test_an_answer_to_a_ticket_without_questions_gets_a_receipt(engine: Engine) -> None:
    async with engine.works(app_of(one_question)):
        receipt = await engine.answer("T404", "yes")
    assert (receipt.outcome, receipt.ticket) == ("unknown_ticket", "T404")


async def test_every_answer_of_a_race_gets_its_receipt_and_one_wins(engine: Engine) -> None:
    app = app_of(one_question)
    async with engine.works(app), engine.works(app):
        run = await engine.start()
        asked = await engine.question()
        receipts = await asyncio.gather(
            *(engine.answer(text=f"{n}", by=f"dev{n}") for n in range(20))
        )
        result = await engine.result(run)
    outcomes = sorted(receipt.outcome for receipt in receipts)
    assert outcomes == ["accepted"] + ["already_answered"] * 19
    assert {receipt.question for receipt in receipts} == {asked.id}
    assert {receipt.by for receipt in receipts} == {result["by"]}


async def test_receipts_are_kept_in_a_stream(engine: Engine) -> None:
    async with engine.works(app_of(one_question)):
        receipt = await engine.answer("T404", "yes")
        body = {"multi_last": ["developer.receipt.T404"]}
        stored = await until(lambda: engine.wire.direct_get("QUESTIONS", body))
    assert msgspec.json.decode(stored[0].data)["seq"] == receipt.seq


# -- several questions on one ticket -----------------------------------------------------------


async def two_at_once(event: dict[str, Any], step: Step) -> list[str]:
    del event
    answers = await step.gather(
        step.ask("developer", "first?", name="first"),
        step.ask("developer", "second?", name="second"),
    )
    return [answer.text for answer in answers]


async def test_an_answer_without_a_name_is_for_the_only_open_question(engine: Engine) -> None:
    async with engine.works(app_of(two_at_once)):
        run = await engine.start()
        first = next(q for q in await engine.questions(2) if q.question == "first?")
        assert (await engine.answer(text="to which?")).outcome == "ambiguous"
        named = await engine.answer(text="to the first", question_id=first.id)
        assert named.outcome == "accepted"
        assert (await engine.answer(text="to the second")).outcome == "accepted"
        assert (await engine.answer(text="to nobody")).outcome == "already_answered"
        assert await engine.result(run) == ["to the first", "to the second"]


async def test_an_answer_with_a_name_is_for_that_question_alone(engine: Engine) -> None:
    async with engine.works(app_of(two_at_once)):
        run = await engine.start()
        ids = {q.question: q.id for q in await engine.questions(2)}
        second = ids["second?"]
        assert (await engine.answer(text="2", question_id=second)).question == second
        again = await engine.answer(text="2 again", question_id=second)
        assert (again.outcome, again.question) == ("already_answered", second)
        assert [q.question for q in await engine.client.questions()] == ["first?"]
        assert (await engine.answer(text="1")).question == ids["first?"]
        assert await engine.result(run) == ["1", "2"]


async def test_parallel_calls_of_a_model_may_both_ask(engine: Engine) -> None:
    both = calls(("ask_developer", {"question": "a?"}), ("ask_developer", {"question": "b?"}))
    model = Scripted(both, says("done"))
    async with engine.works(desk(Agent("A", tools=[ask_developer]), model=model)):
        run = await engine.start()
        for asked in reversed(await engine.questions(2)):
            await engine.answer(text=f"re {asked.question}", question_id=asked.id)
        await engine.ended(run)
    contents = [r.content for r in results(model.requests[-1])]
    assert ["re a?" in contents[0], "re b?" in contents[1]] == [True, True]
    assert model.paid == 2


async def test_two_runs_on_one_ticket_are_asked_and_answered_each(engine: Engine) -> None:
    async with engine.works(app_of(one_question)):
        older = await engine.start("T1")
        await engine.question(run=older)
        newer = await engine.start("T1")
        await engine.question(run=newer)
        receipt = await engine.answer("T1", "for whom?")
        assert (receipt.outcome, receipt.question) == ("ambiguous", None)
        assert [candidate.run for candidate in receipt.candidates] == [older, newer]
        named = await engine.answer("T1", "for the older", question_id=receipt.candidates[0].id)
        assert named.outcome == "accepted"
        assert (await engine.result(older))["text"] == "for the older"
        assert (await engine.state(newer)).status == "waiting"
        assert (await engine.answer("T1", "for the newer")).outcome == "accepted"
        assert (await engine.result(newer))["text"] == "for the newer"


async def test_roles_have_their_own_subjects(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        answers = await step.gather(
            step.ask("developer", "Does it work?", name="dev"),
            step.ask("legal", "Is it allowed?", name="law"),
        )
        return [answer.text for answer in answers]

    async with engine.works(app_of(handle, roles=["developer", "legal"])):
        run = await engine.start()
        await engine.questions(2)
        assert [q.question for q in await engine.client.questions("legal")] == ["Is it allowed?"]
        receipt = await engine.answer(text="it is", role="legal")
        assert receipt.outcome == "accepted"
        assert (await engine.answer(text="it does")).outcome == "accepted"
        assert await engine.result(run) == ["it does", "it is"]


async def test_a_role_that_nobody_has_blocks_the_run_in_words(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.ask("wizard", "Abracadabra?")

    async with engine.works(app_of(handle)):
        block = await engine.blocked(await engine.start())
    assert "the app has no role 'wizard': declare it with App(roles=[...])" in block.reason


# -- answers while no worker runs --------------------------------------------------------------


async def test_an_answer_given_while_no_worker_runs_is_applied_when_one_starts(
    engine: Engine,
) -> None:
    async with engine.works(app_of(one_question)):
        run = await engine.start()
        await engine.question()
    with pytest.raises(NoReceipt, match="will be applied when a worker runs"):
        await engine.client.answer("T1", "in your absence", timeout=0.05)
    async with engine.works(app_of(one_question)):
        assert (await engine.result(run))["text"] == "in your absence"


async def test_an_answer_given_before_the_question_closes_none(engine: Engine) -> None:
    async with engine.works(app_of(one_question)):
        assert (await engine.answer("T1", "too soon")).outcome == "unknown_ticket"
        await engine.start("T1")
        await engine.question()
    async with engine.works(app_of(one_question)):
        assert [q.ticket for q in await engine.client.questions()] == ["T1"]


@pytest.mark.parametrize("also", [[], [b"", {"answer": "no", "questionId": "qother"}]])
async def test_an_answer_in_time_wins_even_if_its_deadline_passed_unseen(
    engine: Engine, also: list[Any]
) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("developer", "Anybody?", timeout=2)).text

    app = app_of(handle)
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
    seq = await engine.drop("in time")
    for body in also:
        await engine.drop(body)
    await engine.due()
    await engine.drop("late")
    receipts = await engine.connection.nc.subscribe("developer.receipt.T1")
    await engine.connection.nc.flush()
    # The deadline is seen first: somebody else holds the answers until it has been handled.
    async with holding(engine, 2 + len(also)) as let_go, engine.works(app):
        assert await engine.result(run) == "in time"
        await let_go()
        outcomes: dict[int, str] = {}
        for _ in range(2 + len(also)):
            receipt = msgspec.json.decode((await receipts.next_msg(30)).data)
            outcomes[receipt["seq"]] = receipt["outcome"]
    assert outcomes.pop(seq) == "accepted"
    assert outcomes.pop(max(outcomes)) == "already_answered"
    assert set(outcomes.values()) <= {"invalid"}


@asynccontextmanager
async def holding(engine: Engine, count: int) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """Take so many answers out of the workers' hands; call it to hand them back."""
    held: list[Delivery] = []

    async def hold(delivery: Delivery) -> None:
        held.append(delivery)

    async def let_go() -> None:
        for delivery in held:
            await delivery.nak()

    async def all_held() -> bool:
        return len(held) == count

    mailbox = Mailbox(engine.connection.nc, "ANSWERS", "answers-developer", hold, concurrency=count)
    await mailbox.start()
    await until(all_held)
    mailbox.stop()
    yield let_go
    await mailbox.drain(1)


# -- tools that ask by themselves --------------------------------------------------------------


async def test_a_tool_may_ask_midway_and_continues_where_it_was(engine: Engine) -> None:
    ran: list[str] = []

    @tool
    async def refund(ctx: ToolContext, amount: int) -> str:
        """Refund money."""

        async def check() -> str:
            ran.append("check")
            return "checked"

        await ctx.step.run("check", check)
        answer = await ctx.step.ask("developer", f"Refund {amount}?")
        return f"{answer.text}: {amount}"

    model = Scripted(calls(("refund", {"amount": 5})), says("ok"))
    async with engine.works(desk(Agent("A", tools=[refund]), model=model)):
        run = await engine.start()
        assert (await engine.question()).question == "Refund 5?"
        await engine.answer(text="granted")
        result = await engine.result(run)
    assert result["calls"] == [["refund", "granted: 5", False]]
    assert ran == ["check"]


async def test_the_record_of_a_ticket_is_one_key_of_its_token(engine: Engine) -> None:
    async with engine.works(app_of(one_question)):
        await engine.start("#45 21")
        await engine.question()
        found = await Bucket(engine.wire, "parked").get(encode("#45 21"))
    assert found is not None
    record = msgspec.json.decode(found.value)
    assert record["ticket"] == "#45 21"
    assert [q.get("status", "open") for q in record["questions"]] == ["open"]
    assert len(record["runs"]) == 1


async def test_what_a_lost_race_asked_within_a_network_is_closed(engine: Engine) -> None:
    agent = Agent("A", tools=[ask_developer], model=Scripted(asks("Still there?")))
    network = Network("team", agents=[agent], router=once)

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event

        async def patience() -> str:
            await step.sleep("400ms")
            return "too slow"

        await step.first(step.network(network, "Help!"), patience())
        return (await step.ask("developer", "What now?")).text

    async with engine.works(app_of(handle, network)):
        run = await engine.start()
        await until(lambda: _asked(engine, "Still there?"))
        await until(lambda: _asked(engine, "What now?"))  # and that alone
        await engine.answer(text="go on without")
        assert await engine.result(run) == "go on without"


# -- two apps in one account -------------------------------------------------------------------


async def test_a_deadline_is_kept_by_whichever_app_has_a_worker(engine: Engine) -> None:
    """Its own app may have been renamed, or have no worker right now."""

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        try:
            return (await step.ask("developer", "Anybody?", timeout=2)).text
        except AskTimedOut:
            return "nobody"

    async def wait(event: dict[str, Any], step: Step) -> None:
        await step.ask("legal", str(event))

    other = App("renamed", roles=["legal"])
    other.workflow(on="other.opened", key="ticket", name="other")(wait)
    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
    await engine.due()
    assert (await engine.state(run)).status == "waiting"
    async with engine.works(other):
        await engine.told(run, "question.expired")
    async with engine.works(app_of(handle)):
        assert await engine.result(run) == "nobody"
