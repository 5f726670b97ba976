"""Who has looked at an open question: recorded once for each person, and shown to all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from layby import Role
from layby.bus.bucket import Bucket
from layby.bus.reading import every
from layby.client.decision import verify
from layby.runtime.entry import Record
from layby.runtime.envelope import decode
from layby.runtime.opened_records import OpenedQuestion
from layby.runtime.state import FORM_WITH_OPENED
from tests.acceptance.test_claims import asking, said
from tests.engine import Engine, is_handled, until

pytestmark = pytest.mark.nats


async def looks(engine: Engine, who: str, *, role: str = "developer", **body: Any) -> None:
    """Say that somebody has looked, as a nats CLI does."""
    await engine.wire.store(f"{role}.opened.T1.{who}", json.dumps(body).encode())


async def handled(engine: Engine, role: str = "developer") -> None:
    """Return when all that was said to a role's questions is handled."""
    await until(lambda: is_handled(engine.wire, f"ANSWERS.acts-{role}"))


async def recorded(engine: Engine, run: str) -> list[tuple[str, str, str]]:
    """The entries of the log."""
    found = [each for each in await records(engine, run) if isinstance(each, OpenedQuestion)]
    return [(each.by, each.vouched, each.channel) for each in found]


async def records(engine: Engine, run: str) -> list[Record]:
    return [record for each in await engine.log.load(run) for record in decode(each.data).records]


async def test_the_first_look_of_each_person_is_in_the_log_and_in_the_list(engine: Engine) -> None:
    async with engine.works(asking()):
        run = await engine.start()
        question = await engine.question()
        for _ in range(3):
            await looks(engine, "ada", questionId=question.id, channel="console")
        await looks(engine, "bob.via-slack", questionId=question.id)
        await looks(engine, "cleo")
        await handled(engine)
        expected = [("ada", "nats", "console"), ("bob", "slack", "slack"), ("cleo", "nats", "")]
        assert await recorded(engine, run) == expected
        [row] = await engine.client.questions()
        assert [(each.by, each.channel) for each in row.opened] == [
            ("ada", "console"),
            ("bob", "slack"),
            ("cleo", ""),
        ]
        receipts = [each async for each in every(engine.wire, "QUESTIONS", "*.receipt.T1")]
        assert receipts == [], "nobody is told anything for that"
        line = await engine.told(run, "question.opened")
        assert (line.title, line.detail) == ("ada opened it", "in console")
        assert (await engine.answer()).outcome == "accepted"
        await engine.result(run)
        decision = await engine.client.decision(question.id, run=run)
        assert decision.opened is not None
        assert [each.by for each in decision.opened] == ["ada", "bob", "cleo"]
        assert all(check.ok for check in verify(decision)), verify(decision)


async def test_an_act_on_a_question_shows_that_the_person_has_looked(engine: Engine) -> None:
    async with engine.works(asking()):
        run = await engine.start()
        question = await engine.question()
        await said(engine, "developer.claim.T1.ada")
        await looks(engine, "ada", questionId=question.id)
        await handled(engine)
        assert await recorded(engine, run) == [], "it is not written twice"
        [row] = await engine.client.questions()
        assert [each.by for each in row.opened] == ["ada"]


async def test_a_look_that_fits_no_question_of_the_role_changes_nothing(engine: Engine) -> None:
    async with engine.works(asking("developer", Role("lead"))):
        run = await engine.start()
        question = await engine.question()
        await looks(engine, "ada", questionId="qother")
        await looks(engine, "ada", role="lead", questionId=question.id)
        await looks(engine, "a.b.c", questionId=question.id)
        await engine.wire.store("developer.opened.=FF.ada", b"\xff{")
        await engine.wire.store("developer.opened.T9.ada", b"")
        await handled(engine)
        await handled(engine, "lead")
        assert await recorded(engine, run) == []
        assert (await engine.answer()).outcome == "accepted"
        await engine.result(run)
        before = len(await records(engine, run))
        await looks(engine, "ada", questionId=question.id)
        await handled(engine)
        assert len(await records(engine, run)) == before, "it is closed"


async def test_looks_do_not_delay_claims(engine: Engine) -> None:
    async with engine.works(asking()):
        await engine.start()
        question = await engine.question()
        await looks(engine, "bob", questionId=question.id)
        assert (await said(engine, "developer.claim.T1.ada")).outcome == "recorded"
        await looks(engine, "cleo", questionId=question.id)
        second = await said(engine, "developer.claim.T1.bob")
        assert (second.outcome, second.by) == ("already_claimed", "ada")
        assert (await said(engine, "developer.decline.T1.cleo")).outcome == "recorded"


async def test_a_worker_that_begins_with_the_parked_state_knows_who_has_looked(
    engine: Engine,
) -> None:
    app = asking()
    async with engine.works(app):
        run = await engine.start()
        question = await engine.question()
        await looks(engine, "ada", questionId=question.id)
        await handled(engine)
        await said(engine, "developer.decline.T1.eve")
    item = await Bucket(engine.wire, "parked").get("T1")
    assert item is not None
    assert json.loads(item.value)["runs"][run]["form"] == FORM_WITH_OPENED
    async with engine.works(app):
        await looks(engine, "ada", questionId=question.id)
        await looks(engine, "bob", questionId=question.id)
        await handled(engine)
        assert [by for by, *_ in await recorded(engine, run)] == ["ada", "bob"]
