"""A receipt is small whatever it is about: few bytes of a sender make no many of the stream."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Step
from tests.engine import Engine, app_of

pytestmark = pytest.mark.nats

LARGE = 30_000
SMALL = 24_000


async def stored(engine: Engine) -> int:
    """The bytes of the last receipt."""
    receipt = await engine.wire.stored("QUESTIONS", last="developer.receipt.T1")
    assert receipt is not None
    return len(receipt.data)


async def asks(event: dict[str, Any], step: Step) -> str:
    """Ask what the event says, in one line."""
    return (await step.ask("developer", event["text"], timeout=60)).text


async def test_an_answer_that_may_be_for_many_long_questions(engine: Engine) -> None:
    async with engine.works(app_of(asks)):
        for _ in range(25):
            await engine.start(text="x" * LARGE)
        await engine.questions(25)
        receipt = await engine.say("yes")
        assert receipt.outcome == "ambiguous"
        assert receipt.reason is not None
        assert "25 questions" in receipt.reason
        assert len(receipt.candidates) == 20
        assert await stored(engine) < SMALL


async def test_an_answer_for_a_question_with_an_endless_id(engine: Engine) -> None:
    async with engine.works(app_of(asks)):
        await engine.start(text="Known?")
        await engine.question()
        body = '{"answer": "yes", "questionId": "%s"}' % ("\x85" * LARGE)
        assert (await engine.say(body)).outcome == "invalid"
        assert await stored(engine) < SMALL
