"""From the question to the result in Slack, with workers, a server and people at buttons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest

from layby import Agent, Role, tool
from layby.client.answer_api import NoReceipt
from layby.client.desk import AnswerDesk
from layby.testing import TestRuntime, check_channel
from tests.engine import Engine, desk, until
from tests.fix_slack import FakeSlack, Posted
from tests.scripted import Scripted, calls, says
from tests.slack_app import ADDRESS, LEADS, ONCALL, app

pytestmark = pytest.mark.nats
Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]


@pytest.fixture
def slack_there(fake_slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> FakeSlack:
    monkeypatch.setenv(ADDRESS, fake_slack.url)
    for channel in (ONCALL, LEADS):
        monkeypatch.setattr(channel.api, "base_url", fake_slack.url)
    return fake_slack


@asynccontextmanager
async def answered(engine: Engine, *channels: Any) -> AsyncGenerator[None]:
    """Take the answers of these channels."""
    at = AnswerDesk(engine.connection, engine.wire, patience=20)
    tasks = [asyncio.create_task(each.listen(at)) for each in channels]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def posted(fake: FakeSlack, channel: str = "C0ONCALL") -> Posted:
    async def look() -> list[Posted]:
        return fake.cards(channel)

    return (await until(look))[0]


async def shows(card: Posted, words: str) -> None:
    async def look() -> bool:
        return words in card.words

    await until(look)


async def told(fake: FakeSlack, user: str, words: str) -> None:
    async def look() -> bool:
        return any(words in each for each in fake.told(user))

    await until(look)


async def replied(fake: FakeSlack, card: Posted, words: str) -> Posted:
    async def look() -> list[Posted]:
        return [each for each in fake.replies(card) if words in each.words]

    return (await until(look))[0]


async def asked(engine: Engine, **fields: Any) -> str:
    return await engine.start(on="slackers.asked", workflow="slackers", **fields)


async def test_a_question_is_answered_in_a_thread_and_the_result_comes_back(
    engine: Engine, slack_there: FakeSlack
) -> None:
    async with engine.works(app), answered(engine, ONCALL):
        run = await asked(engine)
        card = await posted(slack_there)
        assert card.labels[0] == "Answer…"
        await slack_there.reply("U0ADA", card, "it is known")
        await told(slack_there, "U0ADA", "Your answer counts.")
        found = await engine.result(run)
        assert found == {"text": "it is known", "by": "ada", "vouched": "slack"}
        await shows(card, "ada answered: it is known")
        assert card.labels == []
        result = await replied(slack_there, card, "The run has ended: completed")
        assert "it is known" in result.words
        await slack_there.reply("U0BOB", card, "too late")
        await told(slack_there, "U0BOB", "ada was faster")
        assert len(slack_there.replies(card)) == 1


async def test_two_people_decide_and_one_of_them_by_nats(
    engine: Engine, slack_there: FakeSlack
) -> None:
    async with engine.works(app), answered(engine, ONCALL):
        run = await asked(engine, quorum=2)
        card = await posted(slack_there)
        assert card.labels[:2] == ["yes", "no"]
        await slack_there.press("U0ADA", card, "yes")
        await told(slack_there, "U0ADA", "Your vote counts: 1 of 2")
        await shows(card, "ada (developer): yes")
        await slack_there.press("U0ADA", card, "no")
        await told(slack_there, "U0ADA", "You have voted already")
        assert (await engine.answer(text="yes", responder="bob")).outcome == "accepted"
        assert (await engine.result(run))["by"] == "ada, bob"
        await replied(slack_there, card, "The run has ended: completed")
        assert card.labels == []


async def test_a_call_is_approved_and_only_the_call_that_was_shown(
    engine: Engine, slack_there: FakeSlack
) -> None:
    paid: list[int] = []

    @tool(needs_approval=True)
    async def refund(order: str, cents: int) -> str:
        """Give a customer money back."""
        paid.append(cents)
        return f"{cents} paid back for {order}"

    model = Scripted(calls(("refund", {"order": "<!channel>", "cents": 900})), says("Done."))
    roles = [Role("developer", channels=[ONCALL])]
    paying = desk(Agent("Clerk", tools=[refund], model=model), roles=roles)
    async with engine.works(paying), answered(engine, ONCALL):
        run = await engine.start()
        card = await posted(slack_there)
        assert '"order": "<!channel>"' in card.words
        assert card.labels[:3] == ["Approve", "Reject", "Reject with a reason…"]
        assert paid == []
        await slack_there.press("U0BOB", card, "Approve")
        await told(slack_there, "U0BOB", "Your answer counts.")
        await engine.result(run)
        assert paid == [900]
        await shows(card, "bob answered: approve")


async def test_a_reminder_mentions_and_an_escalation_is_a_card_elsewhere(
    engine: Engine, slack_there: FakeSlack
) -> None:
    async with engine.works(app), answered(engine, ONCALL, LEADS):
        run = await asked(engine, remind="100ms", escalate="200ms")
        card = await posted(slack_there)
        assert "<@U0ADA>" in card.words
        assert "<@U0ADA> Reminder 1" in (await replied(slack_there, card, "Reminder 1")).words
        other = await posted(slack_there, "C0RANDOM")
        assert "first asked of developer" in other.words
        await slack_there.reply("U0BOB", other, "we know")
        assert (await engine.result(run))["by"] == "bob"
        await shows(card, "bob answered: we know")
        await shows(other, "bob answered: we know")


async def test_everybody_sees_who_is_on_it(engine: Engine, slack_there: FakeSlack) -> None:
    async with engine.works(app), answered(engine, ONCALL):
        await asked(engine)
        card = await posted(slack_there)
        await slack_there.press("U0ADA", card, "I'm on it")
        await told(slack_there, "U0ADA", "You are on it")
        await shows(card, "ada is on it")
        await slack_there.press("U0BOB", card, "I'm on it")
        await told(slack_there, "U0BOB", "Somebody else is on it")
        await slack_there.press("U0BOB", card, "Not mine")
        await told(slack_there, "U0BOB", "it is not yours")
        assert card.labels[0] == "Answer…"


async def test_a_question_that_nobody_answers_is_rewritten_at_its_deadline(
    engine: Engine, slack_there: FakeSlack
) -> None:
    async with engine.works(app), answered(engine, ONCALL):
        run = await asked(engine, timeout="1h")
        card = await posted(slack_there)
        await engine.hurry(run)
        await shows(card, "Expired: Question for developer")
        assert card.labels == []
        await slack_there.reply("U0ADA", card, "it is known")
        await told(slack_there, "U0ADA", "The question is closed")


@pytest.mark.usefixtures("slack_there")
async def test_slack_keeps_the_rules_of_channels() -> None:
    await check_channel(ONCALL)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after_card_sent", "after_card_recorded", "after_notice"])
async def test_a_killed_worker_leaves_one_card_and_one_result(
    layby_running: Running, slack_there: FakeSlack, point: str
) -> None:
    async with layby_running("tests.slack_app:app", workers=0) as rt:
        async with rt.crashing(point):
            await rt.send("slackers.asked", {"ticket": "T1"})
            if point == "after_notice":
                await posted(slack_there)
                with suppress(NoReceipt):
                    await rt.client.answer("T1", "yes", timeout=2)
        async with rt.worker():
            card = await posted(slack_there)
            if point != "after_notice":
                await rt.client.answer("T1", "yes", timeout=30)
            assert (await rt.result("T1"))["text"] == "yes"
            await replied(slack_there, card, "The run has ended: completed")
        assert len(slack_there.cards()) == 1
        assert len(slack_there.replies(card)) == 1
        assert card.labels == []
