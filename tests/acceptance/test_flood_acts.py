"""What many people say to one question is read once, a little at a time; counted, not timed."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Iterable
from typing import Any

import pytest
from structlog.testing import capture_logs

from layby.actors.people.act import GivenAct
from layby.actors.people.act_decision import ActDecider, Decision
from layby.runtime.times import iso
from tests.acceptance.test_ask_backs import asking as explained
from tests.acceptance.test_claims import asking
from tests.acceptance.test_flood import all_handled, flooded, receipts, replies
from tests.engine import Engine, is_handled, until

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

MANY = 1_500
OF_ONE = 750
"""Fewer than a subject of the stream takes."""
A_FEW = 16
SOME = 400


def said(verb: str, count: int = MANY) -> Iterable[str]:
    """Subjects of so many acts on T1, by as many people as it takes."""
    return (f"developer.{verb}.T1.p{number // OF_ONE}" for number in range(count))


async def paused(engine: Engine, seconds: float = 60.0) -> None:
    """Let nobody read what is said to the developer besides answers for so long."""
    until_then = {"pause_until": iso(time.time() + seconds)}
    await engine.wire.api("CONSUMER.PAUSE.ANSWERS.acts-developer", until_then)


@pytest.mark.slow
async def test_a_deadline_holds_few_of_the_many_acts_that_it_reads(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, held = ActDecider.decide, [0]
    decided = itertools.count()

    async def counting(self: ActDecider, *args: Any) -> Decision:
        if next(decided) % 50 == 0:  # all that this process has is counted, which takes long
            held.append(sum(isinstance(each, GivenAct) for each in gc.get_objects()))
        return await decide(self, *args)

    async with engine.works(explained(explain="role:support", timeout="4s")):
        run = await engine.start()
        await engine.question()
        await paused(engine)
        await flooded(engine, said("ask-back"), b"Which customer is it? " * 80)
        monkeypatch.setattr(ActDecider, "decide", counting)
        state = await engine.ended(run)
    assert len(held) > 10
    assert max(held) < A_FEW
    [asked] = state.asked_back.values()
    assert len(asked) == 10
    assert [each.seq for each in asked] == sorted(each.seq for each in asked)
    first = await engine.wire.stored("ANSWERS", last="developer.ask-back.T1.p0")
    assert first is not None
    assert asked[-1].seq < first.seq, "what was stored first is recorded"


async def test_acts_on_one_question_are_read_once_and_not_once_by_each_of_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = asking("developer", timeout="1h")
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
    await flooded(engine, said("claim", SOME), b'{"minutes": 5}')
    async with replies(monkeypatch, "ANSWERS") as read, engine.works(app):
        await all_handled(engine, "acts-developer")
    assert sum(map(len, read)) < 3 * SOME
    outcomes = [each["outcome"] for each in await receipts(engine, "T1")]
    assert len(outcomes) == SOME
    assert outcomes.count("recorded") == 32, "what one person may say"
    assert [len(said) for said in (await engine.state(run)).acts.values()] == [32]


async def test_answers_among_them_are_not_read_at_all(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = asking("developer", timeout="1h")
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
        bad = (f"developer.response.T1.p{number}" for number in range(SOME))
        await flooded(engine, bad, b'{"answer": null, "x": "%s"}' % (b"x" * 8_000))
        await all_handled(engine)
        async with replies(monkeypatch, "ANSWERS") as read:
            await flooded(engine, ["developer.claim.T1.ada"], b"")
            await all_handled(engine, "acts-developer")
        assert sum(map(sum, read)) < 8_000
        assert len((await engine.state(run)).acts) == 1


async def test_receipts_are_not_read_once_by_each_of_the_acts_that_come_too_late(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = asking("developer", timeout="1h")
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        await engine.ended(run)
    await flooded(engine, said("claim", SOME), b"")
    async with replies(monkeypatch, "QUESTIONS") as read, engine.works(app):
        await all_handled(engine, "acts-developer")
    assert sum(map(len, read)) < 3 * SOME
    outcomes = [each["outcome"] for each in await receipts(engine, "T1")]
    assert outcomes.count("already_answered") == SOME


@pytest.mark.slow
async def test_a_deadline_is_over_where_its_run_is_removed_while_acts_are_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = ActDecider.decide
    app = explained(explain="role:support", timeout="2s")
    with capture_logs() as logs:
        async with engine.works(app) as worker:
            run = await engine.start()
            await engine.question()
            await paused(engine)
            await flooded(engine, said("ask-back", 3), b"Which customer?")
            removed: list[str] = []

            async def removes(self: ActDecider, *args: Any) -> Decision:
                decision = await decide(self, *args)
                if not removed:
                    removed.append(run)
                    await engine.log.purge(run)
                    worker.host.interrupted()  # by when the hint that it was removed is lost
                return decision

            monkeypatch.setattr(ActDecider, "decide", removes)
            await until(lambda: _none_left(engine, removed))
    assert [each for each in logs if each["event"] == "delivery.failed"] == []
    assert not (await engine.state(run)).frames


async def _none_left(engine: Engine, removed: list[str]) -> bool:
    """Whether the deadline was handled after the run was removed."""
    if not removed:
        return False
    return await is_handled(engine.wire, "TIMERS.due")
