"""Which answer closes a question: the first valid one that was stored while it was open."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import msgspec
import pytest

from layby import AskTimedOut, Step
from layby.actors.people.tickets import Seen, Tickets
from layby.bus import reading
from layby.bus.bucket import Bucket
from layby.bus.requests import PubAck
from layby.bus.wire import Message
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats


async def one_question(event: dict[str, Any], step: Step) -> dict[str, str]:
    """Ask once, for as long as the event says; the answer is the run's result."""
    answer = await step.ask("developer", "Well?", timeout=event.get("timeout", 60))
    return {"text": answer.text, "by": answer.by}


async def sent(engine: Engine, subject: str, text: str) -> PubAck:
    """Answer without waiting for a worker; the stream's acknowledgement."""
    return await engine.wire.store(f"developer.response.{subject}", text.encode())


async def outcome(engine: Engine, ticket: str, seq: int) -> dict[str, Any]:
    """The receipt of an answer, once it is there."""

    async def look() -> dict[str, Any]:
        body = {"next_by_subj": f"developer.receipt.{ticket}", "batch": 1_000, "seq": 1}
        page = await engine.wire.direct_get("QUESTIONS", body)
        receipts = [msgspec.json.decode(msg.data) for msg in page if not msg.status]
        found = [receipt for receipt in receipts if receipt["seq"] == seq]
        return found[0] if found else dict[str, Any]()

    return await until(look)


async def taken_by_dead_worker(engine: Engine) -> None:
    """Take the next answer like a worker that dies before it handles the answer."""
    body = msgspec.json.encode({"batch": 1, "expires": 30_000_000_000})
    subject = "$JS.API.CONSUMER.MSG.NEXT.ANSWERS.answers-developer"
    nc = engine.connection.nc
    hand = await nc.subscribe(nc.new_inbox())
    await nc.publish(subject, body, hand.subject)
    assert (await hand.next_msg(30)).subject.startswith("developer.response.")


@pytest.mark.parametrize("second", ["T1", "T1.bob"])
async def test_the_first_stored_answer_wins_while_a_dead_worker_holds_its_delivery(
    engine: Engine, second: str
) -> None:
    app = app_of(one_question, ack_wait=3)
    async with engine.works(app):
        run = await engine.start("T1")
        await engine.question()
    first = await sent(engine, "T1.ada", "first")
    await taken_by_dead_worker(engine)
    later = await sent(engine, second, "second")
    async with engine.works(app):
        assert await engine.result(run) == {"text": "first", "by": "ada"}
        receipt = await outcome(engine, "T1", later.seq)
        assert (receipt["outcome"], receipt["by"]) == ("already_answered", "ada")
        receipt = await outcome(engine, "T1", first.seq)
        assert (receipt["outcome"], receipt["by"]) == ("accepted", "ada")


async def test_an_invalid_answer_before_it_does_not_win_against_a_valid_one(
    engine: Engine,
) -> None:
    app = app_of(one_question, ack_wait=3)
    async with engine.works(app):
        run = await engine.start("T1")
        asked = await engine.question()
    await sent(engine, "T1.ada", '{"answer": ')
    await taken_by_dead_worker(engine)
    await sent(engine, "T1.bob", '{"answer": "for another", "questionId": "qother"}')
    await taken_by_dead_worker(engine)
    won = await sent(engine, "T1", f'{{"answer": "valid", "questionId": "{asked.id}"}}')
    await taken_by_dead_worker(engine)
    await sent(engine, "T1.cleo", "late")
    async with engine.works(app):
        assert (await engine.result(run))["text"] == "valid"
        assert (await outcome(engine, "T1", won.seq))["outcome"] == "accepted"


@pytest.mark.parametrize("end", ["answered", "expired"])
@pytest.mark.parametrize("named", [True, False])
async def test_an_unfit_answer_stays_invalid_once_its_question_is_closed(
    engine: Engine, end: str, *, named: bool
) -> None:
    """Its first receipt said so, and its acknowledgement was lost."""
    app = app_of(one_question, ack_wait=2)
    async with engine.works(app):
        run = await engine.start("T1", timeout=3 if end == "expired" else 60)
        asked = await engine.question()
    body: dict[str, Any] = {"answer": {"not": "text"}}
    unfit = await sent(
        engine, "T1.ada", json.dumps(body | ({"questionId": asked.id} if named else {}))
    )
    await taken_by_dead_worker(engine)
    if end == "answered":
        await sent(engine, "T1.bob", "valid")
    else:
        await engine.due()
    late = await sent(engine, "T1.cleo", json.dumps(body | {"questionId": asked.id}))
    async with engine.works(app):
        await engine.ended(run)
        receipt = await outcome(engine, "T1", unfit.seq)
        assert (receipt["outcome"], receipt["question"]) == ("invalid", asked.id)
        assert "must be text" in receipt["reason"]
        lost = "already_answered" if end == "answered" else "too_late"
        assert (await outcome(engine, "T1", late.seq))["outcome"] == lost


async def test_an_answer_stored_after_the_deadline_is_too_late_even_if_no_worker_was_running(
    engine: Engine,
) -> None:
    tickets = [f"T{n}" for n in range(8)]
    async with engine.works(app_of(one_question)):
        runs = [await engine.start(ticket, timeout=3) for ticket in tickets]
        asked = await engine.questions(len(tickets))
    await engine.due(len(tickets))
    late = {ticket: await sent(engine, ticket, "too late") for ticket in tickets}
    async with engine.works(app_of(one_question)):
        for ticket in tickets:
            receipt = await outcome(engine, ticket, late[ticket].seq)
            assert receipt["outcome"] == "too_late"
            assert receipt["reason"].startswith("the deadline passed at ")
        assert [(await engine.ended(run)).status for run in runs] == ["timed_out"] * len(runs)
    assert all(datetime.fromisoformat(question.deadline) for question in asked)


@pytest.mark.slow
async def test_a_flood_from_one_responder_does_not_hide_another_answer_in_time(
    engine: Engine,
) -> None:
    async with engine.works(app_of(one_question)):
        run = await engine.start("T1", timeout=5)
        await engine.question()
    for _ in range(300):
        await engine.wire.publish("developer.response.T1.ada", b"")
    won = await sent(engine, "T1.bob", "in time")
    await engine.due()
    async with engine.works(app_of(one_question)):
        assert await engine.result(run) == {"text": "in time", "by": "bob"}
        assert (await outcome(engine, "T1", won.seq))["outcome"] == "accepted"


async def test_a_sender_cannot_say_when_or_by_whom_an_answer_was_stored(engine: Engine) -> None:
    forged = {
        "Nats-Time-Stamp": "2020-01-01T00:00:00Z",
        "Nats-Subject": "developer.response.T1.boss",
        "Nats-Sequence": "1",
    }
    async with engine.works(app_of(one_question)):
        run = await engine.start("T1", timeout=3)
        await engine.question()
    await engine.wire.store("developer.response.T1.ada", b"mine", forged)
    await engine.due()
    async with engine.works(app_of(one_question)):
        assert await engine.result(run) == {"text": "mine", "by": "ada"}


@pytest.mark.slow
async def test_a_question_expires_on_time_despite_a_copy_that_lags_for_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six reads that lacked what the leader has made a dead letter of it."""
    reads: list[str] = []
    whole = reading.every

    async def lags(*read: Any, **options: Any) -> AsyncGenerator[Message]:
        reads.append(read[2])
        if len(reads) > 7:
            async for message in whole(*read, **options):
                yield message

    async def soon(event: dict[str, Any], step: Step) -> str:
        del event
        try:
            return (await step.ask("developer", "Well?", timeout=3)).text
        except AskTimedOut:
            return "silence"

    async with engine.works(app_of(soon)):
        run = await engine.start("T1")
        await engine.question()
        await engine.say({"answer": {"no": "text"}})
        monkeypatch.setattr(reading, "every", lags)
        monkeypatch.setattr(reading, "_READS", 1)
        assert await engine.result(run) == "silence"
        assert await engine.client.dead() == []


async def test_a_question_that_a_lagging_copy_hides_makes_an_unnamed_answer_ambiguous(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker remembers the ticket's first question; another has just shown the second."""
    whole, lagging = reading.every, [True]

    async def lags(*read: Any, **options: Any) -> AsyncGenerator[Message]:
        hides = bool(lagging) and ".question." in read[2]
        if hides:
            lagging.clear()
        first = True
        async for message in whole(*read, **options):
            if first or not hides:
                yield message
            first = False

    async with engine.works(app_of(one_question)):
        before = await engine.start("T0")
        await engine.question(run=before)
        await engine.answer("T0", "so that the worker knows how far its stream is")
        older = await engine.start("T1")
        await engine.question(run=older)
        seen = await Tickets(Bucket(engine.wire, "parked"), 60).get_newest("T1")

        async def remembered(parking: Tickets, ticket: str) -> Seen:
            del parking, ticket
            return seen

        newer = await engine.start("T1")
        await engine.question(run=newer)
        monkeypatch.setattr(Tickets, "get", remembered)
        monkeypatch.setattr(reading, "every", lags)
        assert (await engine.answer("T1", "for whom?")).outcome == "ambiguous"
        assert lagging == []
        assert {(await engine.state(run)).status for run in (older, newer)} == {"waiting"}
