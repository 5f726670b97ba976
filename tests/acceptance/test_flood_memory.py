"""What outsiders store in masses is read in small replies, whoever reads it; counted, not timed."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from layby import Step
from layby.actors.people.early_answers import EarlyAnswers, Hit
from layby.actors.people.tickets import ParkedRecord
from tests.acceptance.test_flood import (
    MANY,
    all_handled,
    asked,
    flooded,
    nobody_asked,
    one_question,
    replies,
)
from tests.engine import Engine, app_of

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

FEW_BYTES = 256 * 1024
"""Of one reply: what is asked for, and less than one message of a person more."""
LARGE = 50_000


async def test_answers_that_a_deadline_reads(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.works(app_of(one_question)):
        run = await engine.start(timeout=3)
        await engine.question()
        body = b'{"answer": null, "more": "%s"}' % (b"x" * LARGE)
        await flooded(engine, ["developer.response.T1.eve"] * 40, body)
        await all_handled(engine)
        async with replies(monkeypatch, "ANSWERS") as read:
            await engine.ended(run)
    assert sum(map(sum, read)) > 40 * LARGE
    assert max(map(sum, read)) < FEW_BYTES


async def test_questions_on_one_ticket_where_an_answer_is_for_none(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", event["text"], timeout=60)).text

    async with engine.works(app_of(handle)):
        for _ in range(20):
            await engine.start(text="x" * LARGE)
        await engine.questions(20)
        async with replies(monkeypatch, "QUESTIONS") as read:
            receipt = await engine.say({"answer": "yes", "questionId": "q0123456789ab"})
            assert receipt.outcome == "invalid"
    assert sum(map(sum, read)) > 20 * LARGE
    assert max(map(sum, read)) < FEW_BYTES


async def test_events_that_came_before_a_wait(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "desk.said"

    async def handle(event: dict[str, Any], step: Step) -> str:
        await step.ask("developer", "Ready?", timeout=60)
        found = await step.wait_for_event(said, match={"ticket": event["ticket"]})
        return str(found["text"])

    async with engine.works(app_of(handle, events=[said])):
        run = await engine.start()
        await engine.question()
        await flooded(engine, [said] * 40, b'{"ticket": "F", "text": "%s"}' % (b"x" * LARGE))
        async with replies(monkeypatch, "EVENTS") as read:
            await engine.answer()
            await engine.client.send(said, {"ticket": "T1", "text": "hello"})
            assert await engine.result(run) == "hello"
    assert sum(map(sum, read)) > 40 * LARGE
    assert max(map(sum, read)) < FEW_BYTES


async def test_records_of_the_tickets_whose_answers_wait_to_be_taken_early(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(one_question)
    tickets = [f"M{number}" for number in range(40)]
    runs = await asked(engine, app, *tickets)
    await flooded(engine, nobody_asked(MANY))
    await flooded(engine, (f"developer.response.{each}.ada" for each in tickets))
    attempt = EarlyAnswers._try
    held: list[int] = []

    async def counting(self: EarlyAnswers, hit: Hit) -> None:
        held.append(sum(isinstance(each, ParkedRecord) for each in gc.get_objects()))
        await attempt(self, hit)

    monkeypatch.setattr(EarlyAnswers, "_try", counting)
    gc.collect()  # what the first worker remembered
    async with engine.works(app):
        assert await asyncio.gather(*map(engine.result, runs)) == ["yes"] * len(runs)
    assert len(held) > len(tickets) // 2, "they are taken early"
    assert held[0] < len(tickets) // 4
