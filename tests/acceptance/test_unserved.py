"""A channel that no process serves: its questions are undelivered in time, and not lost."""

from __future__ import annotations

import time
from typing import Any

import pytest

from layby import App, Role, Rung
from layby.actors.people import unserved
from layby.channels import Undeliverable
from layby.runtime.card_records import Notified, Undelivered
from layby.runtime.ladder_records import Reached
from layby.testing import MemoryChannel
from tests.acceptance.test_notifier import (
    asking,
    at_rest,
    end_quiet_at,
    notified,
    quiet_for,
    records,
)
from tests.engine import Engine, until

pytestmark = pytest.mark.nats
CARDS = "QUESTIONS.cards-developer-memory"
LACKS = "SLACK_BOT_TOKEN is not set"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unserved, "_LIMIT", 0.6)


def on_call(*channels: MemoryChannel, leads: MemoryChannel | None = None, **options: Any) -> App:
    return asking(
        Role("developer", channels=channels, escalate=[Rung("1h", to="role:lead")], **options),
        Role("lead", channels=[leads or MemoryChannel()]),
    )


async def test_a_card_that_no_process_can_send_is_undelivered_and_escalated(engine: Engine) -> None:
    leads = MemoryChannel()
    app = on_call(MemoryChannel(lacks=LACKS), MemoryChannel("other", lacks=LACKS), leads=leads)
    async with engine.works(app), engine.works(app):
        run = await engine.start()
        [card] = await leads.wait()
        assert card.kind == "escalation"
        failed = [each for each in await notified(engine, run, 3) if each.role == "developer"]
        assert {(each.channel, each.status, each.seq) for each in failed} == {
            ("memory", "failed", 0),
            ("other", "failed", 0),
        }
        assert "layby notify" in failed[0].reason
        found = await records(engine, run)
        assert sum(isinstance(each, Undelivered) for each in found) == 1
        [reached] = [each for each in found if isinstance(each, Reached)]
        assert reached.early
        await engine.told(run, "question.undelivered")
        [row] = [each for each in await engine.questions() if each.role == "developer"]
        assert {each.status for each in row.cards if each.role == "developer"} == {"failed"}
        assert await engine.client.dead() == []
        assert (await engine.answer(role="lead")).outcome == "accepted"


async def test_one_other_working_channel_is_enough(engine: Engine) -> None:
    leads, good = MemoryChannel(), MemoryChannel("good")
    async with engine.works(on_call(MemoryChannel(lacks=LACKS), good, leads=leads)):
        run = await engine.start()
        found = await notified(engine, run, 2)
        assert {each.channel: each.status for each in found} == {
            "good": "sent",
            "memory": "failed",
        }
        await at_rest(engine, "TIMERS.held")
        log = await records(engine, run)
    assert not any(isinstance(each, Undelivered | Reached) for each in log)
    assert leads.sent == []


async def test_a_process_that_comes_late_still_sends_it_once(engine: Engine) -> None:
    channel = MemoryChannel()
    async with engine.works(on_call(MemoryChannel(lacks=LACKS), remind=[])):
        run = await engine.start()
        await engine.told(run, "question.undelivered")
        async with engine.works(on_call(channel, remind=[])):
            [card] = await channel.wait()
            assert (card.kind, card.status) == ("asked", "open")

            async def sent() -> list[Notified]:
                found = [each for each in await notified(engine, run) if each.role == "developer"]
                return [each for each in found if each.status == "sent"]

            [record] = await until(sent)
            assert record.seq > 0
            await at_rest(engine, CARDS)
            state = await engine.state(run)
            cards = [each for each in state.cards[card.question] if each.role == "developer"]
            assert [(each.status, each.undelivered) for each in cards] == [("sent", False)]
            await engine.answer()
            assert (await channel.wait_closed()).status == "answered"
    assert len(channel.sent) == 1


async def test_a_question_that_is_closed_or_shown_by_then_is_left_alone(engine: Engine) -> None:
    channel, leads = MemoryChannel(), MemoryChannel()
    async with engine.works(on_call(MemoryChannel(lacks=LACKS), leads=leads)):
        closed = await engine.start()
        await engine.question()
        await engine.answer()
        await engine.result(closed)
    async with engine.works(on_call(channel, leads=leads)):
        shown = await engine.start("T2")
        await channel.wait()
        await notified(engine, shown)
        await _looked_at(engine, 2)
        for run in (shown, closed):
            log = await records(engine, run)
            assert not any(isinstance(each, Undelivered | Reached) for each in log)
    assert leads.sent == []


async def _looked_at(engine: Engine, count: int) -> None:
    """Return when so many wake-ups of cards were handled."""

    async def look() -> bool:
        info = await engine.wire.api("CONSUMER.INFO.TIMERS.held")
        return bool(info["ack_floor"]["consumer_seq"] >= count)

    await until(look)


async def test_an_escalation_that_nobody_can_send_reaches_the_next_one(engine: Engine) -> None:
    boss = MemoryChannel()
    app = asking(
        Role("developer", escalate=[Rung("300ms", to="role:lead"), Rung("1h", to="role:boss")]),
        Role("lead", channels=[MemoryChannel(lacks=LACKS)]),
        Role("boss", channels=[boss]),
    )
    async with engine.works(app):
        run = await engine.start()
        await boss.wait()
        lost = [each for each in await records(engine, run) if isinstance(each, Undelivered)]
        assert [(each.role, each.rung) for each in lost] == [("lead", 0)]


async def test_a_held_card_is_sent_later_if_no_process_ran_at_its_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_quiet_at(monkeypatch, _now() + 1.5)
    channel, leads = MemoryChannel(), MemoryChannel()
    options: dict[str, Any] = {"quiet": quiet_for(5), "leads": leads}
    async with engine.works(on_call(channel, **options)):
        run = await engine.start()
        [held] = await notified(engine, run)
        assert held.status == "held"
    async with engine.works(on_call(MemoryChannel(lacks=LACKS), **options)):
        await leads.wait()
        found = await notified(engine, run, 3)
        assert [each.status for each in found if each.role == "developer"] == ["held", "failed"]
        async with engine.works(on_call(channel, **options)):
            await channel.wait()
            await at_rest(engine, CARDS)
    assert len(channel.sent) == 1


def _now() -> float:
    return time.time()


async def test_a_channel_that_fails_again_after_it_was_undelivered_is_a_dead_letter(
    engine: Engine,
) -> None:
    bad = MemoryChannel(fails=Undeliverable("no such room"))
    async with engine.works(on_call(MemoryChannel(lacks=LACKS))):
        run = await engine.start()
        await engine.told(run, "question.undelivered")
        async with engine.works(on_call(bad)):
            [letter] = await until(engine.client.dead)
            assert letter.reason == "channel memory: no such room"
            found = [each for each in await notified(engine, run, 3) if each.role == "developer"]
            assert [each.status for each in found] == ["failed", "failed"]
            log = await records(engine, run)
            assert sum(isinstance(each, Undelivered) for each in log) == 1
