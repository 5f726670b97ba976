"""Who vouches for the name on an answer, and which of them a question accepts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from layby import Agent, App, Approvers, Step, ToolContext, tool
from layby.actors.people.sent_answers import SentAnswers
from layby.bus.requests import PubAck
from layby.client.decision import verify
from layby.runtime.errors import InvalidSetup
from tests.acceptance.test_votes import FINANCE, LEGAL, listed, receipt
from tests.engine import Engine, app_of, desk
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats


def asking(**options: Any) -> App:
    """An app that asks finance as these options say; the result is what it gets."""

    async def pay(_: dict[str, Any], step: Step) -> dict[str, Any]:
        answer = await step.ask("finance", "Pay it?", timeout=60, **options)
        votes = [[vote.by, vote.vouched] for vote in answer.votes]
        return {"by": answer.by, "vouched": answer.vouched, "votes": votes}

    return app_of(pay, roles=[FINANCE, LEGAL])


async def say(engine: Engine, words: str, text: str = "yes", *, role: str = "finance") -> PubAck:
    """Answer on a subject that ends in these words."""
    return await engine.wire.store(f"{role}.response.T1.{words}".strip("."), text.encode())


async def told(engine: Engine, words: str, text: str = "yes") -> tuple[str, str]:
    """Answer; what the receipt says."""
    found = await receipt(engine, await say(engine, words, text))
    return found["outcome"], found["reason"] or ""


@pytest.mark.parametrize(
    ("words", "by", "vouched"),
    [
        ("", "", "none"),
        ("ada", "ada", "nats"),
        ("ada.via-slack", "ada", "slack"),
        ("ada.via-link", "ada", "link"),
        ("ada.via-token", "ada", "token"),
        ("ada.via-proxy", "ada", "proxy"),
        ("via-slack", "via-slack", "nats"),
    ],
)
async def test_the_subject_says_who_vouches(
    engine: Engine, words: str, by: str, vouched: str
) -> None:
    async with engine.works(asking()):
        run = await engine.start("T1")
        await engine.question()
        assert await told(engine, words) == ("accepted", "")
        assert await engine.result(run) == {"by": by, "vouched": vouched, "votes": []}


@pytest.mark.parametrize(
    "words",
    ["ada.via-nats", "ada.via-none", "ada.x", "ada.via-slack.via-link", "ada.via-", "a.b.c"],
)
async def test_other_words_after_the_name_are_refused(engine: Engine, words: str) -> None:
    async with engine.works(asking()):
        await engine.start("T1")
        await engine.question()
        outcome, reason = await told(engine, words)
        assert (outcome, "too many words" in reason) == ("invalid", True)
        assert await told(engine, "ada") == ("accepted", "")


async def test_one_person_has_one_vote_on_whatever_channel(engine: Engine) -> None:
    async with engine.works(asking(answer=bool, quorum=2, accept=["nats", "slack"])):
        run = await engine.start("T1")
        assert (await engine.question()).accept == ["nats", "slack"]
        assert await told(engine, "ada.via-slack") == ("counted", "1 of 2 for 'yes'")
        assert (await told(engine, "ada"))[0] == "already_voted"
        assert (await told(engine, "ada.via-slack"))[0] == "already_voted"
        assert [each.by for each in (await listed(engine, 1)).votes] == ["ada"]
        assert await told(engine, "bob") == ("accepted", "2 of 2 for 'yes'")
        assert await engine.result(run) == {
            "by": "ada, bob",
            "vouched": "slack",
            "votes": [["ada", "slack"], ["bob", "nats"]],
        }


async def test_votes_need_the_name_of_a_login_unless_the_question_says_otherwise(
    engine: Engine,
) -> None:
    async with engine.works(asking(answer=bool, quorum=2)):
        run = await engine.start("T1")
        assert (await engine.question()).accept == ["nats"]
        for via in ("slack", "link", "token", "proxy"):
            outcome, reason = await told(engine, f"ada.via-{via}")
            assert outcome == "invalid"
            assert f"through {via}" in reason
            assert "finance.response.T1.YOUR_NAME" in reason
        assert await told(engine, "ada") == ("counted", "1 of 2 for 'yes'")
        assert await told(engine, "bob") == ("accepted", "2 of 2 for 'yes'")
        assert (await engine.result(run))["vouched"] == "nats"


async def test_votes_that_were_stored_while_no_worker_ran_count_by_who_vouches(
    engine: Engine,
) -> None:
    app = asking(answer=bool, quorum=2, accept=["slack"])
    async with engine.works(app):
        run = await engine.start("T1")
        await engine.question()
    acks = [await say(engine, words) for words in ("ada", "bob", "bob.via-slack", "cleo.via-slack")]
    async with engine.works(app):
        outcomes = [(await receipt(engine, ack))["outcome"] for ack in acks]
        assert outcomes == ["invalid", "invalid", "counted", "accepted"]
        assert (await engine.result(run))["votes"] == [["bob", "slack"], ["cleo", "slack"]]


@pytest.mark.parametrize(
    ("accept", "refused", "where", "taken"),
    [
        ("nats", "ada.via-slack", "own login, on finance.response.T1.YOUR_NAME", "ada"),
        ("nats", "", "whose subject names you: finance.response.T1.YOUR_NAME", "ada"),
        ("slack", "ada", "only answers through slack", "ada.via-slack"),
        (["link", "slack"], "ada.via-token", "only answers through link or slack", "ada.via-link"),
        (["nats", "link"], "ada.via-slack", "finance.response.T1.YOUR_NAME", "ada.via-link"),
        ("none", "ada.via-slack", "only unnamed answers", ""),
        (["none", "slack"], "ada", "only unnamed answers", "ada.via-slack"),
    ],
)
async def test_a_question_says_what_it_accepts(
    engine: Engine, accept: Any, refused: str, where: str, taken: str
) -> None:
    async with engine.works(asking(accept=accept)):
        await engine.start("T1")
        await engine.question()
        outcome, reason = await told(engine, refused)
        assert (outcome, where in reason) == ("invalid", True), reason
        assert await told(engine, taken) == ("accepted", "")


async def test_a_question_that_only_a_bridge_can_answer_offers_no_command(engine: Engine) -> None:
    async with engine.works(asking(accept=["slack", "link"])):
        await engine.start("T1")
        row = await engine.question()
        assert (row.accept, row.answer_with) == (["link", "slack"], [])
        page = await engine.wire.direct_get(
            "QUESTIONS", {"next_by_subj": "finance.question.T1", "seq": 1, "batch": 1}
        )
        published = json.loads(page[0].data)
        assert published["answer"]["subject"] == "finance.response.T1.YOUR_NAME.via-link"
        assert published["answer_with"] == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"accept": "teams"}, "give one of 'nats', 'signature', 'slack'"),
        ({"accept": "teams", "answer": bool, "quorum": 2}, "give one of 'nats'"),
        ({"accept": ["slack", "none"], "answer": bool, "quorum": 2}, "leave `accept` out"),
        ({"accept": ["slack", "signature"], "answer": bool, "quorum": 2}, "leave `accept` out"),
    ],
)
async def test_an_accept_that_cannot_be_is_refused(
    engine: Engine, options: dict[str, Any], why: str
) -> None:
    async def pay(_: dict[str, Any], step: Step) -> str:
        try:
            await step.ask("finance", "Pay it?", **options)
        except InvalidSetup as error:
            return str(error)
        return ""

    async with engine.works(app_of(pay, roles=[FINANCE, LEGAL])):
        assert why in await engine.result(await engine.start("T1"))


async def test_an_approval_counts_votes_from_slack_if_the_tool_says_so(engine: Engine) -> None:
    paid: list[int] = []

    @tool(
        needs_approval=Approvers("finance", quorum=2),
        approval_accept=["nats", "slack"],
    )
    async def refund(ctx: ToolContext, cents: int) -> str:
        """Pay it back."""
        del ctx
        paid.append(cents)
        return "paid"

    model = Scripted(calls(("refund", {"cents": 5})), says("done"))
    clerk = Agent("clerk", system="Pay.", model=model, tools=[refund])
    async with engine.works(desk(clerk, roles=[FINANCE])):
        run = await engine.start("T1")
        await engine.question()
        assert (await told(engine, "ada.via-link", "approve"))[0] == "invalid"
        assert (await told(engine, "ada.via-slack", "approve"))[0] == "counted"
        assert paid == []
        assert (await told(engine, "bob.via-slack", "approve"))[0] == "accepted"
        await engine.result(run)
        assert paid == [5]


async def test_a_decision_says_by_whose_word_people_voted(engine: Engine) -> None:
    async with engine.works(asking(answer=bool, quorum=2, accept=["nats", "slack"])):
        run = await engine.start("T1")
        asked = await engine.question()
        await told(engine, "ada.via-slack")
        await told(engine, "bob")
        await engine.result(run)
        decision = await engine.client.decision(asked.id, run=run)
    assert [(each.by, each.vouched) for each in decision.answers] == [
        ("ada", "slack"),
        ("bob", "nats"),
    ]
    checks = verify(decision)
    assert all(check.ok for check in checks), checks
    said = [check.what for check in checks]
    assert "'ada' voted by the word of Slack, and nothing is signed" in said
    assert "'bob' voted by the word of the server, and nothing is signed" in said
    [ada, *others] = decision.answers
    forged = msgspec.structs.replace(ada, subject="finance.response.T1.eve.via-slack")
    lie = msgspec.structs.replace(decision, answers=[forged, *others])
    assert not all(check.ok for check in verify(lie))


async def test_a_decision_says_by_whose_word_somebody_answered(engine: Engine) -> None:
    async with engine.works(asking()):
        run = await engine.start("T1")
        asked = await engine.question()
        await told(engine, "ada.via-link")
        await engine.result(run)
        decision = await engine.client.decision(asked.id, run=run)
    assert decision.outcome.vouched == "link"
    checks = verify(decision)
    assert all(check.ok for check in checks), checks
    assert any("the word of a link that was sent to them" in check.what for check in checks)


async def test_the_answers_of_a_ticket_are_read_in_order_whatever_vouches_for_them(
    engine: Engine,
) -> None:
    async with engine.works(asking()):
        sent = ["", "ada.via-slack", "bob", "cleo.via-x", "ada", "bob.via-link"]
        for words in sent:
            await say(engine, words)
        reader = SentAnswers("finance", engine.wire)
        found = [each.given async for each in reader.since("T1", 0.0)]
    assert [(each.responder, each.vouched) for each in found] == [
        ("", "none"),
        ("ada", "slack"),
        ("bob", "nats"),
        ("ada", "nats"),
        ("bob", "link"),
    ]
