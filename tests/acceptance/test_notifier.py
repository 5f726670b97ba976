"""Questions on channels: each is shown once, is kept up to date, and never gets lost unnoticed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from layby import App, Keyring, Role, Rung
from layby.actors.people import card_attempts, channel_calls, notifier
from layby.actors.people.channel_calls import ChannelCalls
from layby.bus.pruning import Prune
from layby.bus.reading import every
from layby.bus.topology import Provisioner
from layby.channels import Card, ChannelError, Undeliverable
from layby.runtime.card_records import Notified, Undelivered
from layby.runtime.entry import Record
from layby.runtime.envelope import decode
from layby.runtime.ladder_records import Reached
from layby.runtime.quiet import Quiet
from layby.testing import MemoryChannel
from tests.engine import Engine, TooSlow, app_of, in_time, is_handled, until

pytestmark = pytest.mark.nats


def asking(*roles: Role | str, role: str = "developer", **options: Any) -> App:
    """An app whose run asks once, with these options."""

    async def handle(event: dict[str, Any], step: Any) -> dict[str, Any]:
        del event
        answer = await step.ask(role, "Known?", **{"default": None, **options})
        return {"text": answer.text, "by": answer.by}

    return app_of(handle, roles=roles)


async def records(engine: Engine, run: str) -> list[Record]:
    messages = await engine.log.load(run)
    return [record for each in messages for record in decode(each.data).records]


async def notified(engine: Engine, run: str, count: int = 1) -> list[Notified]:
    """What the log says of cards, once it says so much."""

    async def look() -> list[Notified]:
        found = [each for each in await records(engine, run) if isinstance(each, Notified)]
        return found if len(found) >= count else []

    return await until(look)


async def at_rest(engine: Engine, *consumers: str) -> None:
    """Return when nothing waits for these consumers."""
    await until(lambda: is_handled(engine.wire, *consumers))


CARDS = "QUESTIONS.cards-developer-memory"


async def test_a_question_is_shown_once_and_the_log_says_so(engine: Engine) -> None:
    channel = MemoryChannel()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        [card] = await channel.wait()
        assert (card.text, card.run, card.ticket, card.status) == ("Known?", run, "T1", "open")
        [record] = await notified(engine, run)
        assert (record.status, record.channel, record.ref) == ("sent", "memory", card.key)
        [row] = await engine.questions()
        await until(lambda: _listed(engine, "sent"))
        assert row.id == card.question
        await engine.answer()
        assert (await engine.result(run))["text"] == "yes"
        await at_rest(engine, CARDS)
    assert len(channel.sent) == 1
    line = next(each for each in await engine.lines(run) if each.kind == "card.sent")
    assert line.title == "sent a card to memory"


async def _listed(engine: Engine, status: str) -> bool:
    [row] = await engine.questions()
    return [each.status for each in row.cards] == [status]


async def test_a_card_is_not_sent_again_when_its_message_comes_again(engine: Engine) -> None:
    channel = MemoryChannel()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await channel.wait()
        await notified(engine, run)
        asked = "developer.question.T1"
        [message] = [each async for each in every(engine.wire, "QUESTIONS", asked)]
        for _ in range(3):
            await engine.wire.store(asked, message.data)
        await at_rest(engine, CARDS)
        assert len(channel.sent) == 1
        await engine.answer()
        assert (await channel.wait_closed()).status == "answered"
        await engine.wire.store(asked, message.data)
        await engine.result(run)
        await at_rest(engine, CARDS)
    assert len(channel.sent) == 1
    assert [each.status for each in channel.shown.values()] == ["answered"]
    assert len(await notified(engine, run)) == 1


async def test_a_card_shows_who_answered_and_how_the_run_ended(engine: Engine) -> None:
    channel = MemoryChannel()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await channel.wait()
        await notified(engine, run)
        await engine.answer(responder="ada")

        async def over() -> list[Card]:
            return [each for each in channel.shown.values() if each.run_status]

        [card] = await until(over)
    assert (card.status, card.by, card.outcome) == ("answered", "ada", "ada answered: yes")
    assert (card.run_status, '"by":"ada"' in card.result) == ("completed", True)
    first, *others = [what for what, _, _ in channel.calls]
    assert (first, set(others)) == ("send", {"close"})


async def test_a_card_is_closed_at_the_deadline_and_when_the_run_is_cancelled(
    engine: Engine,
) -> None:
    channel = MemoryChannel()
    app = asking(Role("developer", channels=[channel]), timeout="700ms")
    async with engine.works(app):
        await engine.start()
        assert (await channel.wait_closed()).status == "expired"
    channel.calls.clear()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start("T2")
        await channel.wait()
        await notified(engine, run)
        await engine.client.cancel(run, "not needed")
        closed = await channel.wait_closed()
        assert closed.status == "cancelled"
        assert "no answer is needed" in closed.outcome


async def test_a_card_is_rewritten_while_its_run_goes_on(engine: Engine) -> None:
    channel = MemoryChannel()

    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        await step.ask("developer", "First?")
        return str((await step.ask("developer", "Second?")).text)

    async with engine.works(app_of(handle, roles=[Role("developer", channels=[channel])])):
        run = await engine.start()
        await channel.wait()
        await notified(engine, run)
        await engine.answer()
        closed = await channel.wait_closed()
        assert (closed.text, closed.status, closed.run_status) == ("First?", "answered", "")
        await channel.wait(2)
        assert [each.status for each in channel.shown.values()] == ["answered", "open"]


async def test_votes_are_shown_as_they_come(engine: Engine) -> None:
    channel = MemoryChannel()
    role = Role("developer", people=["ada", "bob"], channels=[channel])
    async with engine.works(asking(role, answer=bool, quorum=2)):
        run = await engine.start()
        [card] = await channel.wait()
        assert card.needed == "decided by 2 of developer"
        await notified(engine, run)
        await engine.answer(responder="ada")

        async def voted() -> list[Card]:
            return [each for each in channel.shown.values() if each.votes]

        [card] = await until(voted)
        assert [(each.by, each.choice) for each in card.votes] == [("ada", "yes")]
        assert card.status == "open"
        await engine.answer(responder="bob")
        assert (await channel.wait_closed()).by == "ada, bob"


async def test_each_channel_and_each_escalation_gets_its_card(engine: Engine) -> None:
    first, second, lead = MemoryChannel("first"), MemoryChannel("second"), MemoryChannel()
    app = asking(
        Role(
            "developer",
            channels=[first, second],
            remind=["300ms"],
            escalate=[Rung("600ms", to="role:lead")],
        ),
        Role("lead", channels=[lead]),
    )
    async with engine.works(app):
        run = await engine.start()
        [escalated] = await lead.wait()
        assert (escalated.role, escalated.asked_of, escalated.kind) == (
            "lead",
            "developer",
            "escalation",
        )
        for channel in (first, second):
            asked, reminded = await channel.wait(2)
            assert (asked.kind, reminded.kind, reminded.number) == ("asked", "reminder", 1)
            assert reminded.first == asked.key
        await notified(engine, run, 5)
        await engine.answer(role="lead")
        for channel in (first, second, lead):
            assert (await channel.wait_closed()).status == "answered"
        await engine.result(run)
        await at_rest(engine, "QUESTIONS.cards-developer-first", "QUESTIONS.cards-lead-memory")
    assert [len(each.sent) for each in (first, second, lead)] == [2, 2, 1]


async def test_a_card_that_fails_is_tried_again(engine: Engine) -> None:
    channel = MemoryChannel(fails=ChannelError("busy"))
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await _redelivered(engine)
        channel.fails = None
        await channel.wait()
        [record] = await notified(engine, run)
        assert record.status == "sent"


async def _redelivered(engine: Engine) -> None:
    async def look() -> bool:
        return bool((await engine.wire.api(f"CONSUMER.INFO.{CARDS}"))["num_redelivered"])

    await until(look)


class Down(MemoryChannel):
    """Fails until it is up; counts the calls until then."""

    up_at = float("inf")
    in_vain = 0

    async def send(self, card: Card) -> str:
        if asyncio.get_running_loop().time() < self.up_at:
            self.in_vain += 1
            raise ChannelError("down")
        return await super().send(card)


@pytest.mark.slow
async def test_waiting_cards_are_shown_soon_after_their_channel_is_up_again(
    engine: Engine,
) -> None:
    channel, outage, cards = Down(), 10.0, 30
    loop = asyncio.get_running_loop()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        for number in range(cards):
            await engine.start(f"T{number}")
        channel.up_at = loop.time() + outage
        await channel.wait(cards)
    late = loop.time() - channel.up_at
    assert late < outage / 2, "pauses that double are as long as the outage"
    assert channel.in_vain < cards + 8 * outage


class Picky(MemoryChannel):
    """Fails the cards of some tickets for ever."""

    in_vain = 0

    async def send(self, card: Card) -> str:
        if card.ticket.startswith("bad"):
            self.in_vain += 1
            raise ChannelError("a bug")
        return await super().send(card)


@pytest.mark.slow
async def test_cards_that_fail_for_ever_hold_up_no_others(engine: Engine) -> None:
    channel = Picky()

    async def failed() -> bool:
        return channel.in_vain >= 24

    async with engine.works(asking(Role("developer", channels=[channel]))):
        for number in range(12):
            await engine.start(f"bad{number}")
        await until(failed)
        for number in range(12):
            await engine.start(f"T{number}")
            await channel.wait(1 + number, within=10.0)


class Limited(MemoryChannel):
    """Says once that it wants to be called later."""

    asked_at = 0.0
    calls_at: float = 0.0

    async def asked(self) -> bool:
        """Whether it has said so."""
        return bool(self.asked_at)

    async def send(self, card: Card) -> str:
        now = asyncio.get_running_loop().time()
        if not self.asked_at:
            self.asked_at = now
            raise ChannelError("slow down", retry_after=1.5)
        self.calls_at = self.calls_at or now
        return await super().send(card)


async def test_a_channel_that_asks_for_time_gets_it(engine: Engine) -> None:
    channel = Limited()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        await engine.start()
        await until(channel.asked)  # or the second card is under way already
        await engine.start("T2")
        await channel.wait(2)
    assert channel.calls_at - channel.asked_at >= 1.4


async def test_roles_that_share_a_channel_share_its_rest(engine: Engine) -> None:
    channel = Limited()
    roles = [Role(name, channels=[channel]) for name in ("developer", "lead")]

    async def handle(event: dict[str, Any], step: Any) -> str:
        return str((await step.ask(event["role"], "Known?")).text)

    async with engine.works(app_of(handle, roles=roles)):
        await engine.start(role="developer")
        await until(channel.asked)
        await engine.start("T2", role="lead")
        await channel.wait(2)
    assert channel.calls_at - channel.asked_at >= 1.4


class Hesitant(MemoryChannel):
    """Wants to be called later, some times over."""

    left = 6

    async def send(self, card: Card) -> str:
        self.left -= 1
        if self.left >= 0:
            raise ChannelError("slow down", retry_after=0.1)
        return await super().send(card)


async def test_a_card_waits_no_longer_than_its_channel_asks_for(engine: Engine) -> None:
    channel = Hesitant()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        await engine.start()
        await channel.wait(within=15.0)  # pauses that double take half a minute


class HesitantToClose(MemoryChannel):
    """Wants to be called later, some times over, to show that a question is closed."""

    left = 12

    async def close(self, ref: str, card: Card) -> None:
        self.left -= 1
        if self.left >= 0:
            raise ChannelError("slow down", retry_after=0.1)
        await super().close(ref, card)


async def test_a_card_stays_open_no_longer_than_its_channel_asks_for(engine: Engine) -> None:
    channel = HesitantToClose()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await channel.wait()
        await notified(engine, run)
        await engine.answer()
        await channel.wait_closed(within=20.0)  # pauses that double take a minute


class Metered(MemoryChannel):
    """Takes one card, and then none for a while."""

    every = 0.05
    next_at = 0.0
    refused = 0

    async def send(self, card: Card) -> str:
        now = asyncio.get_running_loop().time()
        if now < self.next_at:
            self.refused += 1
            raise ChannelError("slow down", retry_after=self.next_at - now)
        self.next_at = now + self.every
        return await super().send(card)


_MANY = 80


@pytest.mark.slow
async def test_many_cards_pass_a_slow_channel_in_turn(engine: Engine) -> None:
    channel = Metered()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        for number in range(_MANY):
            await engine.start(f"T{number}")
        await channel.wait(_MANY)
        await at_rest(engine, CARDS)
        info = await engine.wire.api(f"CONSUMER.INFO.{CARDS}")
    assert len(channel.sent) == _MANY
    assert channel.refused <= 2 * _MANY + 16
    # Few are handed back that were not refused: each delivery costs a look at a log.
    assert info["delivered"]["consumer_seq"] <= 2 * (_MANY + channel.refused)
    places = [int(card.ticket.removeprefix("T")) for card in channel.sent]
    assert max(number - place for number, place in enumerate(places)) < _MANY // 2


class Hanging(MemoryChannel):
    """Never answers, and ignores that it is cancelled."""

    async def send(self, card: Card) -> str:
        del card
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        return ""


async def test_a_channel_that_hangs_holds_up_no_other_and_no_shutdown(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_calls, "LIMIT", 0.2)
    monkeypatch.setattr(ChannelCalls.__init__, "__defaults__", (0.2,))
    well = MemoryChannel("well")
    async with engine.works(asking(Role("developer", channels=[Hanging("hangs"), well]))):
        for number in range(40):
            await engine.start(f"T{number}")
        await well.wait(40)
        for number in range(40):
            receipt = await engine.answer(f"T{number}")
            assert receipt.outcome == "accepted"


@pytest.mark.parametrize("others", [0, 1])
async def test_a_question_that_no_channel_can_show_is_escalated_at_once(
    engine: Engine, others: int
) -> None:
    bad = [
        MemoryChannel(f"bad{number}", fails=Undeliverable("no such room"))
        for number in range(1 + others)
    ]
    lead = MemoryChannel()
    app = asking(
        Role("developer", channels=bad, escalate=[Rung("1h", to="role:lead")]),
        Role("lead", channels=[lead]),
    )
    async with engine.works(app), engine.works(app):
        run = await engine.start()
        [card] = await lead.wait()
        assert card.kind == "escalation"
        found = await records(engine, run)
        assert sum(isinstance(each, Undelivered) for each in found) == 1
        [reached] = [each for each in found if isinstance(each, Reached)]
        assert reached.early
        failed = [each for each in found if isinstance(each, Notified) and each.reason]
        assert {each.reason for each in failed} == {"no such room"}
        assert len(failed) == 1 + others
        line = await engine.told(run, "question.undelivered")
        assert line.title == "no channel could show it"

        async def letters() -> bool:
            reasons = {each.reason for each in await engine.client.dead()}
            return reasons == {f"channel {each.name}: no such room" for each in bad}

        await until(letters)


async def test_a_question_that_one_channel_has_shown_is_not_undelivered(engine: Engine) -> None:
    bad, good = MemoryChannel("bad", fails=Undeliverable("gone")), MemoryChannel("good")
    app = asking(
        Role("developer", channels=[bad, good], escalate=[Rung("1h", to="role:lead")]), "lead"
    )
    async with engine.works(app):
        run = await engine.start()
        found = await notified(engine, run, 2)
        assert {each.status for each in found} == {"sent", "failed"}
        await engine.answer()
        await engine.result(run)
    assert not any(isinstance(each, Undelivered | Reached) for each in await records(engine, run))


async def test_a_card_that_cannot_be_sent_in_time_is_given_up(engine: Engine) -> None:
    channel = MemoryChannel(fails=ChannelError("down"))
    app = asking(Role("developer", channels=[channel]), timeout="3s")
    async with engine.works(app):
        run = await engine.start()

        async def down() -> bool:
            return any(each.reason == "down" for each in await notified(engine, run))

        await until(down)
        await engine.result(run)
    assert any(isinstance(each, Undelivered) for each in await records(engine, run))


async def test_a_card_that_failed_is_sent_after_its_letter_is_retried(engine: Engine) -> None:
    channel = MemoryChannel(fails=Undeliverable("no such room"))
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await notified(engine, run)
        [letter] = await until(engine.client.dead)
        channel.fails = None
        await engine.client.retry_dead(letter.id)
        await channel.wait()
        failed, sent = await notified(engine, run, 2)
        assert (failed.status, sent.status) == ("failed", "sent")
        await until(lambda: _listed(engine, "sent"))


async def test_a_card_is_given_up_after_a_while(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_attempts, "GIVE_UP", 0.5)
    monkeypatch.setattr(card_attempts, "_DELIVERIES", 2)
    monkeypatch.setattr(card_attempts, "_FAILURES", 2)
    channel = MemoryChannel(fails=RuntimeError("a bug"))
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        [record] = await notified(engine, run)
        assert (record.status, record.reason) == ("failed", "RuntimeError: a bug")
        assert (await engine.answer()).outcome == "accepted"
        assert await engine.result(run)


def quiet_for(seconds: float) -> str:
    """Quiet hours that end in at least so many seconds: times are whole minutes."""
    end = datetime.now(UTC) + timedelta(seconds=seconds + 60)
    start = end - timedelta(hours=2)
    return f"{start:%H:%M}-{end:%H:%M} UTC"


async def test_quiet_hours_hold_the_first_card_until_they_end(engine: Engine) -> None:
    channel = MemoryChannel()
    app = asking(Role("developer", quiet=quiet_for(5), channels=[channel]))
    async with engine.works(app):
        run = await engine.start()
        [record] = await notified(engine, run)
        assert record.status == "held"
        await until(lambda: _listed(engine, "held"))
        assert channel.sent == []
        await until(lambda: engine.wire.stored("TIMERS", last=_timer(record)))
        await at_rest(engine, CARDS)


def _timer(record: Notified) -> str:
    return f"timer.{record.id}.held=developer=memory={record.until:.0f}"


async def test_a_held_card_is_sent_when_it_is_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def held_and_sent(ticket: str, seconds: float) -> None:
        channel = MemoryChannel()
        async with engine.works(quiet_app(channel)):
            over = _now() + seconds
            end_quiet_at(monkeypatch, over)
            run = await engine.start(ticket)
            await held_in_time(engine, run)
            await channel.wait()
            held, sent = await notified(engine, run, 2)
            assert (held.status, sent.status) == ("held", "sent")
            assert held.until == pytest.approx(over, abs=0.01)
            await at_rest(engine, CARDS, "TIMERS.held")
        assert len(channel.sent) == 1

    await in_time(held_and_sent, 1.5)


def quiet_app(channel: MemoryChannel) -> App:
    return asking(Role("developer", quiet=quiet_for(5), channels=[channel]))


async def held_in_time(engine: Engine, run: str) -> None:
    """Raise TooSlow if the quiet hours were over before the card was there to be held."""
    if (await notified(engine, run))[0].status != "held":
        raise TooSlow


def end_quiet_at(monkeypatch: pytest.MonkeyPatch, over: float) -> None:
    """Let quiet hours hold until a time: declared ones end at whole minutes."""

    def until_then(_: Quiet, at: float) -> float:
        return max(at, over)

    monkeypatch.setattr(Quiet, "until", until_then)


def _now() -> float:
    return datetime.now(UTC).timestamp()


async def test_a_held_card_is_sent_by_a_worker_whose_clock_is_behind(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sent(ticket: str, seconds: float) -> None:
        channel = MemoryChannel()
        async with engine.works(quiet_app(channel)):
            end_quiet_at(monkeypatch, _now() + seconds)
            run = await engine.start(ticket)
            await held_in_time(engine, run)
            with monkeypatch.context() as patched:
                patched.setattr(notifier, "clock", SimpleNamespace(now=lambda: _now() - 60))
                await channel.wait()

    await in_time(sent, 1.5)


async def test_another_apps_worker_may_take_the_wake_up_of_a_held_card(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = App("other", roles=[Role("clerk", channels=[MemoryChannel()])])
    other.workflow(on="other.opened", key="ticket", name="other")(_nothing)

    async def sent(ticket: str, seconds: float) -> None:
        channel = MemoryChannel()
        async with engine.works(quiet_app(channel)):
            end_quiet_at(monkeypatch, _now() + seconds)
            run = await engine.start(ticket)
            await held_in_time(engine, run)
        async with engine.works(other):
            await until(lambda: _noticed(engine, ticket))
        async with engine.works(quiet_app(channel)):
            await channel.wait()

    await in_time(sent, 1.5)


async def _nothing(event: dict[str, Any], step: Any) -> None:
    """Do nothing."""


async def _noticed(engine: Engine, ticket: str) -> bool:
    subject = f"developer.notice.{ticket}"
    return bool([each async for each in every(engine.wire, "QUESTIONS", subject)])


async def test_a_held_card_of_a_closed_question_is_never_sent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed(ticket: str, seconds: float) -> None:
        channel = MemoryChannel()
        async with engine.works(quiet_app(channel)):
            over = _now() + seconds
            end_quiet_at(monkeypatch, over)
            run = await engine.start(ticket)
            await held_in_time(engine, run)
            await engine.answer(ticket)
            await engine.result(run)
            if _now() >= over:
                raise TooSlow
            await until(lambda: _noticed(engine, ticket))
            await at_rest(engine, CARDS, "TIMERS.held")
        assert channel.calls == []

    await in_time(closed, 1.5)


@pytest.mark.parametrize("options", [{"urgent": True}, {"timeout": "3s"}])
async def test_a_card_that_is_urgent_or_due_before_quiet_hours_end_is_sent_at_once(
    engine: Engine, options: dict[str, Any]
) -> None:
    channel = MemoryChannel()
    app = asking(Role("developer", quiet=quiet_for(600), channels=[channel]), **options)
    async with engine.works(app):
        await engine.start()
        await channel.wait()


async def test_a_worker_without_the_channels_secrets_leaves_it_to_others(engine: Engine) -> None:
    lacking = MemoryChannel(lacks="SLACK_BOT_TOKEN is not set")
    channel = MemoryChannel()
    async with engine.works(asking(Role("developer", channels=[lacking]))):
        run = await engine.start()
        await engine.question()
        async with engine.works(asking(Role("developer", channels=[channel]))):
            await channel.wait()
            await notified(engine, run)
    assert lacking.calls == []


@pytest.mark.parametrize("held", [False, True])
async def test_a_purge_leaves_nothing_of_a_card(engine: Engine, *, held: bool) -> None:
    channel = MemoryChannel()
    role = Role("developer", quiet=quiet_for(5) if held else "", channels=[channel])
    async with engine.works(asking(role)):
        run = await engine.start()
        await notified(engine, run)
        await engine.answer()
        await engine.result(run)
        await at_rest(engine, CARDS)

        async def purged() -> bool:
            return (await engine.client.purge(0)).runs == 1

        await until(purged)
        for stream in ("QUESTIONS", "TIMERS", "RUNS"):
            state = (await engine.wire.api(f"STREAM.INFO.{stream}"))["state"]
            assert state["messages"] == 0, stream


async def test_the_doctor_says_that_nobody_shows_what_waits_for_a_channel(engine: Engine) -> None:
    lacking = MemoryChannel(lacks="a token")
    async with engine.works(asking(Role("developer", channels=[lacking]))):
        await engine.start()
        await engine.question()
        name = "QUESTIONS/cards-developer-memory"
        [finding] = [each for each in await engine.client.doctor() if each.subject == name]
        assert (finding.level, "channel.unavailable" in finding.advice) == ("warn", True)


async def test_a_claim_is_shown_while_it_holds(engine: Engine) -> None:
    channel = MemoryChannel()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await channel.wait()
        await notified(engine, run)

        async def claimed_for(seconds: float) -> list[Card]:
            shown = [card for what, _, card in channel.calls if what == "update"]
            return [each for each in shown if each.claimed_until - _now() > seconds]

        for minutes in (30, 90):
            body = b'{"minutes": %d}' % minutes
            await engine.wire.store("developer.claim.T1.ada", body)
            card = (await until(partial(claimed_for, minutes * 60 - 60)))[-1]
            assert (card.claimed_by, card.status) == ("ada", "open")
        await engine.answer()
        assert (await channel.wait_closed()).claimed_by == ""


async def test_a_question_closed_while_its_card_is_sent_is_shown_as_closed(engine: Engine) -> None:
    channel = Slow()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await channel.began.wait()
        await engine.answer()
        await engine.result(run)
        channel.go_on.set()
        closed = await channel.wait_closed()
        assert closed.status == "answered"
        [record] = await notified(engine, run)
        assert record.status == "sent"
        state = await engine.state(run)
        assert state.status == "completed"
        [row] = await engine.client.runs()
        assert row.ended_at is not None


class Slow(MemoryChannel):
    """Takes until it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go_on = asyncio.Event(), asyncio.Event()

    async def send(self, card: Card) -> str:
        self.began.set()
        await self.go_on.wait()
        return await super().send(card)


async def test_one_channel_serves_an_app_with_a_prefix(engine: Engine) -> None:
    channel = MemoryChannel()

    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        answer = await step.ask("developer", "Known?")
        return str(answer.text)

    app = app_of(handle, roles=[Role("developer", channels=[channel])], prefix="shop")
    async with engine.works(app):
        await engine.client.send("desk.opened", {"ticket": "T1"})
        [card] = await channel.wait()
        assert all("shop.developer.response.T1" in line for line in card.answer_with)
        await engine.wire.store("shop.developer.response.T1", b"yes")
        assert (await channel.wait_closed()).status == "answered"


async def test_a_channel_that_is_taken_away_leaves_its_mailbox_until_it_is_pruned(
    engine: Engine,
) -> None:
    async def mailboxes() -> set[str]:
        listed = await engine.wire.api("CONSUMER.LIST.QUESTIONS", {"offset": 0})
        consumers: list[dict[str, Any]] = listed.get("consumers") or []
        return {str(each["name"]) for each in consumers}

    before = asking(Role("developer", channels=[MemoryChannel("old"), MemoryChannel("kept")]))
    after = asking(Role("developer", channels=[MemoryChannel("kept")]))
    kept, old = "cards-developer-kept", "cards-developer-old"
    await Provisioner(engine.wire).ensure(before.topology())
    await Provisioner(engine.wire).ensure(after.topology())
    assert await mailboxes() == {kept, old}
    await Provisioner(engine.wire, prune=Prune.IDLE).ensure(after.topology())
    assert await mailboxes() == {kept}


async def test_a_result_of_an_encrypted_run_stays_off_its_card(clean_nats: str) -> None:
    ring = Keyring({"k1": bytes(32)})
    channel = MemoryChannel()
    app = asking(Role("developer", channels=[channel]))
    app.encryption = ring
    async with Engine.at(clean_nats, ring) as engine, engine.works(app):
        run = await engine.start()
        await channel.wait()
        await notified_of_encrypted(engine, run)
        await engine.answer()

        async def over() -> list[Card]:
            return [each for each in channel.shown.values() if each.run_status]

        [card] = await until(over)
        assert (card.run_status, card.result) == ("completed", "")


async def notified_of_encrypted(engine: Engine, run: str) -> None:
    async def look() -> bool:
        return bool((await engine.state(run)).cards)

    await until(look)


async def test_an_app_without_channels_has_nothing_of_them(engine: Engine) -> None:
    async with engine.works(asking("developer")):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        await engine.result(run)
        listed = await engine.wire.api("CONSUMER.LIST.QUESTIONS", {"offset": 0})
        assert not listed.get("consumers")
        info = await engine.wire.api("STREAM.INFO.TIMERS")
        assert info["config"]["subjects"] == ["timer.>", "due.>", "rung.>"]
        info = await engine.wire.api("STREAM.INFO.QUESTIONS")
        assert not any("notice" in each for each in info["config"]["subjects"])


async def test_junk_on_the_subjects_of_a_channel_stops_nothing(engine: Engine) -> None:
    channel = MemoryChannel()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        [card] = await channel.wait()
        other = await engine.start("T2")
        for body in (b"", b"\xff", b"{}", b'{"id": "q", "run": "*"}', b'{"id": "%s", "run": 7}'):
            await engine.wire.store("developer.question.T9", body)
            await engine.wire.store("developer.notice.T9", body)
        forged = b'{"id": "%s", "run": "%s", "rung": {"place": 3}}'
        await engine.wire.store(
            "developer.question.T9", forged % (card.question.encode(), run.encode())
        )
        await channel.wait(2)
        await engine.answer()
        await engine.answer("T2")
        await engine.result(run)
        await engine.result(other)
    assert len(channel.sent) == 2


async def test_outside_quiet_hours_no_card_is_held(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of all times are a little before the millisecond to which they are rounded."""
    channel = MemoryChannel()

    def never(_: Quiet, at: float) -> float:
        return at

    monkeypatch.setattr(Quiet, "until", never)
    role = Role("developer", quiet="22:00-07:00 UTC", channels=[channel])
    async with engine.works(asking(role)):
        runs = [await engine.start(f"T{number}") for number in range(12)]
        await channel.wait(12)
        for run in runs:
            assert [each.status for each in await notified(engine, run)] == ["sent"]


class Losing(MemoryChannel):
    """Shows a card, and its reply is lost; it can look up what it has shown."""

    lost = False

    async def send(self, card: Card) -> str:
        ref = await super().send(card)
        if not self.lost:
            self.lost = True
            raise ChannelError("the reply was lost", retry_after=0.5)
        return ref

    async def find(self, card: Card) -> str:
        return card.key if card.key in self.shown else ""


async def test_a_card_that_nobody_knows_of_is_found_and_closed_with_its_question(
    engine: Engine,
) -> None:
    channel = Losing()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await channel.wait()
        await engine.answer()
        await engine.result(run)
        assert (await channel.wait_closed()).status == "answered"
        [record] = await notified(engine, run)
        assert (record.status, record.ref) == ("sent", next(iter(channel.shown)))
        await at_rest(engine, CARDS)
    assert len(channel.sent) == 1


async def test_a_card_that_was_never_sent_is_not_looked_up(engine: Engine) -> None:
    channel = Losing()
    channel.lost = True
    asks = asking(Role("developer", channels=[channel]))
    async with engine.works(asking(Role("developer", channels=[MemoryChannel(lacks="it")]))):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        await engine.result(run)
    async with engine.works(asks):
        await at_rest(engine, CARDS)
    assert channel.calls == []


class Deaf(Losing):
    """Cannot look anything up."""

    async def find(self, card: Card) -> str:
        del card
        raise Undeliverable("no such room")


async def test_a_card_that_cannot_be_looked_up_is_left_alone(engine: Engine) -> None:
    channel = Deaf()
    async with engine.works(asking(Role("developer", channels=[channel]))):
        run = await engine.start()
        await channel.wait()
        await engine.answer()
        await engine.result(run)
        await at_rest(engine, CARDS)
        assert await engine.client.dead() == []
    assert [what for what, _, _ in channel.calls] == ["send"]
