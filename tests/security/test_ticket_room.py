"""A ticket on which somebody starts one run after another, each of which asks at length."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from layby import Step
from layby.actors.people import tickets
from layby.bus.bucket import Bucket
from layby.views.open_questions import asked_on
from tests.acceptance.test_encryption import keyring
from tests.acceptance.test_votes_signed import SIGNERS, sign
from tests.engine import Engine, app_of, until
from tests.signing_desk import ADA

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

LONG = 60_000
MANY = 30


async def ask(event: dict[str, Any], step: Step) -> str:
    """Ask in the words of the event; the answer is the run's result."""
    return (await step.ask("developer", event["text"], answer=bool, timeout="1h")).text


def worded(number: int, size: int = LONG) -> str:
    """A question of its own."""
    return f"{number}?".ljust(size, "x")


async def asked(engine: Engine, count: int, size: int = LONG) -> list[str]:
    """The runs of T1 that were started, once all of them have asked."""
    runs = [await engine.start("T1", text=worded(number, size)) for number in range(count)]
    await engine.questions(count)
    return runs


async def stored(engine: Engine) -> bytes:
    item = await Bucket(engine.wire, "parked").get_newest("T1")
    return item.value if item is not None else b""


async def test_long_questions_do_not_fill_their_tickets_record(engine: Engine) -> None:
    async with engine.works(app_of(ask)):
        runs = await asked(engine, MANY)
        assert len(await stored(engine)) < 2 * LONG
        by_run = {each.run: each for each in await engine.client.questions()}
        assert [by_run[run].question for run in runs] == [worded(n) for n in range(MANY)]
        assert (await engine.say("yes")).outcome == "ambiguous"
        for run in runs:
            receipt = await engine.answer("T1", "true", question_id=by_run[run].id)
            assert receipt.outcome == "accepted"
        assert [await engine.result(run) for run in runs] == ["true"] * MANY
        assert await engine.client.dead() == []


async def test_a_question_that_the_record_leaves_to_the_log_is_judged_and_shown_as_ever(
    engine: Engine,
) -> None:
    async with engine.works(app_of(ask)):
        await asked(engine, 4)
    async with engine.works(app_of(ask)):  # remembers no run
        [first, *others] = await engine.questions(4)
        misfit = await engine.answer("T1", "perhaps", question_id=first.id)
        assert misfit.outcome == "invalid"
        assert "boolean" in (misfit.reason or "")
        assert (await engine.answer("T1", "true", question_id=first.id)).outcome == "accepted"
        told = await engine.say("true")
        assert told.outcome == "ambiguous"
        candidates = {each.id: (each.question, each.answer_with) for each in told.candidates}
        assert candidates == {
            each.id: (each.question[:500], tuple(each.answer_with)) for each in others
        }
    for each in others:
        await Bucket(engine.wire, "questions").forget(f"developer.T1.{each.id}")
    again = {each.id: each for each in await asked_on(engine.wire, "T1")}
    assert [again[each.id] for each in others] == others


async def test_a_signature_is_checked_against_what_only_the_log_has(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def signed(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("approver", event["text"], timeout="1h")).by

    monkeypatch.setattr(tickets, "_LARGEST", 0)
    async with engine.works(app_of(signed, roles=[SIGNERS])):
        run = await engine.start("T1", text=worded(0))
        await engine.question()
    async with engine.works(app_of(signed, roles=[SIGNERS])):
        asked = await engine.question()
        forged = await sign(engine, msgspec.structs.replace(asked, question="?"), "ada", ADA)
        assert forged.outcome == "invalid"
        assert (await sign(engine, asked, "ada", ADA)).outcome == "accepted"
        assert await engine.result(run) == "ada"


async def test_a_confidential_question_that_only_the_log_has_is_judged_and_can_be_erased(
    clean_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def secret(event: dict[str, Any], step: Step) -> str:
        choice = Literal["left", "right"]
        return (await step.ask("developer", event["text"], answer=choice, confidential=True)).text

    monkeypatch.setattr(tickets, "_LARGEST", 0)
    ring = keyring("k1")
    app = app_of(secret, encryption=ring)
    async with Engine.at(clean_nats, ring) as engine:
        async with engine.works(app):
            runs = [await engine.start("T1", text=worded(number)) for number in range(2)]
            await engine.questions(2)
        assert (await stored(engine)).count(b"xx") == 0
        async with engine.works(app):
            first, second = [await engine.question(run=run) for run in runs]
            misfit = await engine.answer("T1", "up", question_id=first.id)
            assert misfit.outcome == "invalid"
            assert (await engine.answer("T1", "left", question_id=first.id)).outcome == "accepted"
            assert await engine.result(runs[0]) == "left"
            assert await engine.client.erase_run("desk", runs[1])
        told = {each.id: each.question for each in await asked_on(engine.wire, "T1")}
        assert told == {first.id: worded(0), second.id: "(erased)"}


async def test_a_question_without_room_fails_its_own_run_and_no_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "_LARGEST", 0)
    monkeypatch.setattr(tickets, "_FULL", 2_000)
    async with engine.works(app_of(ask)):
        runs = [await engine.start("T1", text=worded(0, 300))]
        for number in range(1, MANY):
            run = await engine.start("T1", text=worded(number, 300))
            if await ended_or_listed(engine, run):
                break
            runs.append(run)
        else:
            pytest.fail("the ticket takes any number of questions")
        state = await engine.state(run)
        assert "'T1' has" in state.error
        assert "no room for another" in state.error
        assert len(await engine.client.dead()) == 1, "it was tried once"
        other = await engine.start("T2", text="?")
        await engine.question(run=other)
        for each in await engine.questions(len(runs)):
            if each.ticket == "T1":
                receipt = await engine.answer("T1", "true", question_id=each.id)
                assert receipt.outcome == "accepted"
        assert [await engine.result(run) for run in runs] == ["true"] * len(runs)
        assert await asked(engine, 1, 300), "there is room again"


async def ended_or_listed(engine: Engine, run: str) -> bool:
    """Whether a run has ended, once it has or its question is listed."""

    async def look() -> list[bool]:
        if (await engine.state(run)).ended:
            return [True]
        return [False] if run in {each.run for each in await engine.client.questions()} else []

    return (await until(look))[0]
