"""A question that one person alone may answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from layby import App, Role, Rung, Step
from layby.runtime.entry import Addressed
from layby.runtime.envelope import decode
from layby.runtime.errors import InvalidSetup
from layby.runtime.state import FORM_WITH_ONLY
from layby.tools.ask_developer import make_ask
from tests.acceptance.test_votes import FINANCE, receipt
from tests.engine import Engine, app_of

pytestmark = pytest.mark.nats

ADA: dict[str, Any] = {"to": "person:ada", "only": True}


def asking(**options: Any) -> App:
    """An app that asks finance as these options say."""

    async def pay(_: dict[str, Any], step: Step) -> list[str]:
        answer = await step.ask("finance", "Pay it?", timeout=60, **{**ADA, **options})
        return [answer.text, answer.by, answer.vouched]

    return app_of(pay, roles=[FINANCE, Role("lead", escalate=[Rung("1s", to="role:finance")])])


async def told(engine: Engine, words: str, *, body: bytes = b"yes") -> tuple[str, str]:
    """Answer on a subject that ends in these words; what the receipt says."""
    ack = await engine.wire.store(f"finance.response.T1.{words}".strip("."), body)
    found = await receipt(engine, ack)
    return found["outcome"], found["reason"] or ""


async def test_nobody_else_can_answer(engine: Engine) -> None:
    async with engine.works(asking()):
        run = await engine.start("T1")
        asked = await engine.question()
        assert (asked.only, asked.to, asked.accept) == ("ada", "person:ada", ["nats"])
        assert await told(engine, "bob") == ("invalid", "only ada may answer this question")
        outcome, reason = await told(engine, "", body=b'{"answer": "yes", "by": "ada"}')
        assert (outcome, "finance.response.T1.YOUR_NAME" in reason) == ("invalid", True)
        outcome, reason = await told(engine, "ada.via-slack")
        assert (outcome, "through slack" in reason) == ("invalid", True)
        assert await told(engine, "ada") == ("accepted", "")
        assert (await told(engine, "bob"))[0] == "already_answered"
        assert await engine.result(run) == ["yes", "ada", "nats"]


async def test_others_are_refused_whatever_the_channel(engine: Engine) -> None:
    async with engine.works(asking(accept=["slack", "nats"])):
        run = await engine.start("T1")
        await engine.question()
        assert (await told(engine, "bob.via-slack"))[0] == "invalid"
        assert (await told(engine, "ada.via-slack"))[0] == "accepted"
        assert await engine.result(run) == ["yes", "ada", "slack"]


async def test_answers_of_others_stored_while_no_worker_ran_do_not_win(engine: Engine) -> None:
    app = asking()
    async with engine.works(app):
        run = await engine.start("T1")
        await engine.question()
    for words in ("bob", "", "ada.via-link", "ada"):
        await engine.wire.store(f"finance.response.T1.{words}".strip("."), words.encode() or b"x")
    async with engine.works(app):
        assert await engine.result(run) == ["ada", "ada", "nats"]


async def test_it_is_a_record_that_earlier_releases_stop_at(engine: Engine) -> None:
    async with engine.works(asking()):
        run = await engine.start("T1")
        await engine.question()
        entries = await engine.log.load(run)
        records = [record for each in entries for record in decode(each.data).records]
        [asked] = [record for record in records if isinstance(record, Addressed)]
        assert asked.only == "ada"
        assert (await engine.state(run)).form == FORM_WITH_ONLY
        page = await engine.wire.direct_get(
            "QUESTIONS", {"next_by_subj": "finance.question.T1", "seq": 1, "batch": 1}
        )
        assert json.loads(page[0].data)["only"] == "ada"


async def test_it_cannot_be_passed_to_somebody_who_may_not_answer(engine: Engine) -> None:
    async with engine.works(asking()):
        await engine.start("T1")
        await engine.question()
        for to in ("person:bob", "role:lead"):
            receipt = await engine.client.pass_on("T1", to, by="ada", role="finance", timeout=60)
            assert (receipt.outcome, receipt.reason) == (
                "invalid",
                "only ada may answer this question",
            )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"to": None}, "say who may answer"),
        ({"to": "role:lead"}, "person:ada"),
        ({"quorum": 2, "answer": bool}, "several people decide"),
        ({"accept": "none"}, "leave 'none' out"),
        ({"escalate": [Rung("1s", to="role:lead")]}, "only ada may answer"),
    ],
)
async def test_an_impossible_restriction_is_refused_at_once(
    engine: Engine, options: dict[str, Any], why: str
) -> None:
    async def pay(_: dict[str, Any], step: Step) -> str:
        try:
            await step.ask("finance", "Pay it?", **{**ADA, **options})
        except InvalidSetup as error:
            return str(error)
        return ""

    async with engine.works(app_of(pay, roles=[FINANCE, "lead"])):
        assert why in await engine.result(await engine.start("T1"))


def test_a_tool_that_asks_nobody_alone_is_refused_where_it_is_made() -> None:
    with pytest.raises(InvalidSetup, match="say who may answer"):
        make_ask("finance", only=True)
