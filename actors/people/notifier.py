"""Shows the questions of one role on one channel, and keeps what it has shown up to date.

A published question is a card to send; a notice means that the question has to be looked at again.
Either way the run's log says what to do: a card that it has is not sent again, and what a
card shows is what the log says now. So messages may come late, twice and in any order. If a worker
dies between sending a card and recording that, the card is sent once more, with the same key.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import structlog

from ...bus.mailbox import Delivery
from ...bus.names import Names
from ...bus.timers import HELD as WAKE
from ...bus.timers import Timers
from ...bus.token import is_key, is_word
from ...runtime import clock, crash
from ...runtime.card_records import FAILED, FIRST, HELD, SENT, CardStatus, Notified
from ...runtime.cards import SentCard, card_in, first_in
from ...runtime.channel import Card, ChannelError, Undeliverable
from ...runtime.delivery_policy import PoisonMessage
from ...runtime.due_handler import LAGS
from ...runtime.envelope import UNREADABLE
from ...runtime.errors import Fenced
from ...runtime.failure import message_of
from ...runtime.host import Host
from ...runtime.ladder import NO_LADDER
from ...runtime.ladder_records import ASKED
from ...runtime.ports import Due
from ...runtime.role import Role
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question
from .card import Place, card_of
from .card_attempts import CardAttempts
from .channel_calls import ChannelCalls, Turn
from .notices import NOTICE
from .open_questions import OpenQuestions
from .rungs import timer_of
from .undelivered import GivingUp

log = structlog.get_logger("layby.channel")

_DUTY: Final = 8
"""Deliveries in which it may become known who is on duty, some two seconds."""
_ROUNDS: Final = 10
"""Times that a card is shown again at once because its question has changed meanwhile."""


class _Later(Exception):
    """The message must be delivered again."""

    def __init__(self, delay: float) -> None:
        super().__init__(f"in {delay:g} s")
        self.delay = delay


class _Rung(msgspec.Struct):
    place: int


class _Looked(msgspec.Struct):
    """The fields that are read of a published question or a notice: where to look."""

    id: str
    run: str
    rung: _Rung | None = None


class _Task(NamedTuple):
    """What one message is about."""

    turn: Turn
    delivery: Delivery
    live: LiveRun
    question: Question


class Notifier:
    """One role on one channel."""

    def __init__(
        self,
        role: Role,
        calls: ChannelCalls,
        host: Host,
        *,
        names: Names,
        timers: Timers,
        listed: OpenQuestions,
        giving_up: GivingUp,
    ) -> None:
        self._role = role
        self._calls = calls
        self._channel = calls.channel.name
        self._host = host
        self._names = names
        self._timers = timers
        self._listed = listed
        self._giving_up = giving_up
        self._attempts = CardAttempts(calls.pace)

    async def take(self, delivery: Delivery) -> None:
        """Do what a published question or a notice calls for. Raises PoisonMessage."""
        looked = _read(delivery)
        # It waits before it looks: what it shows then must be true.
        async with self._calls.turn(delivery.seq) as turn:
            try:
                await self._look(delivery, looked, turn)
            except _Later as later:
                await delivery.nak(later.delay)
                return
            except PoisonMessage:
                self._attempts.forget(delivery)
                raise
        self._attempts.forget(delivery)

    async def _look(self, delivery: Delivery, looked: _Looked, turn: Turn) -> None:
        """Look at a question, do what it calls for, and acknowledge that. Raises _Later."""
        # `delivery.run` stays empty: giving up a card must not end its run.
        live = await self._host.open(looked.run)
        live.users += 1
        try:
            await live.confirm()
            question = live.state.questions.get(looked.id)
            if question is None:
                await _wait_for_log(delivery)
                return
            if self._role.name not in live.state.roles_of(question):
                raise PoisonMessage(f"question {question.id} is not for {self._role.name}")
            await self._do(_Task(turn, delivery, live, question), looked)
            crash.point("before_ack")
            await delivery.ack()
        finally:
            live.users -= 1
            self._host.cache.count(live)
            if live.state.ended:
                self._host.cache.drop(live.id)

    async def _do(self, task: _Task, looked: _Looked) -> None:
        if self._names.own(task.delivery.subject).split(".")[1] == NOTICE:
            for card in self._cards(task):
                if card.waits and card.until <= _now(task):
                    await self._send(task, card.rung)
            await self._refresh(task, [each for each in self._cards(task) if each.status == SENT])
            return
        rung = looked.rung.place if looked.rung is not None else FIRST
        known = self._card(task, rung)
        if known is None or not known.is_final(task.delivery.seq):
            await self._send(task, rung)
        elif known.status != SENT:
            await self._giving_up.set_aside(known, task.delivery)
        elif task.question.status != OPEN:
            # It may have closed before the card was recorded, and then no notice has come.
            await self._refresh(task, [known])

    # -- sending -------------------------------------------------------------------------------

    async def _send(self, task: _Task, rung: int) -> None:
        """Send a card and record that, unless nobody should see it now. Raises _Later."""
        live, question = task.live, task.question
        if question.status != OPEN or clock.now() >= question.deadline:
            await self._close_lost(task, rung)
            return
        ladder = live.state.ladders.get(question.id, NO_LADDER)
        if rung != FIRST and not (0 <= rung < len(ladder.rungs) and ladder.rungs[rung].reached):
            raise PoisonMessage(f"the log of run {live.id} has reached no rung {rung}")
        if rung == FIRST:
            self._check_duty(task)
            if until := self._quiet_until(task):
                await self._hold(task, rung, until)
                return
        card = self._rendered(task, rung, secret=await self._is_secret(live.id))
        try:
            ref = await task.turn.send(card)
        except ChannelError as error:
            await self._failed(task, rung, error)
            return
        crash.point("after_card_sent")
        await self._record(task, self._notified(task, rung, SENT, ref=ref))
        crash.point("after_card_recorded")
        # What has changed since it was rendered found no card to tell.
        sent, secret = self._card(task, rung), await self._is_secret(live.id)
        if sent is not None and self._rendered(task, rung, secret=secret) != card:
            await self._refresh(task, [sent])

    async def _close_lost(self, task: _Task, rung: int) -> None:
        """Close a card that may have been sent without its record, if it is found. Raises _Later.

        A worker died after it was sent, or the channel's reply was lost, and nobody has taken over
        before the question was closed.
        """
        if task.delivery.num_delivered == 1:
            return
        card = self._rendered(task, rung, secret=await self._is_secret(task.live.id))
        try:
            ref = await task.turn.find(card)
        except ChannelError as error:
            delay = self._attempts.pause(task.delivery, error)
            if self._is_hopeless(task, error):
                return  # as far as anybody knows it was not sent
            raise _Later(delay) from None
        if ref:
            await self._record(task, self._notified(task, rung, SENT, ref=ref))
            await self._refresh(task, [each for each in self._cards(task) if each.rung == rung])

    def _check_duty(self, task: _Task) -> None:
        """Wait until it is known who is on duty, but not long. Raises _Later."""
        rungs = task.live.state.ladders.get(task.question.id, NO_LADDER).rungs
        unknown = any(each.kind == ASKED and not each.reached for each in rungs)
        if unknown and task.delivery.num_delivered <= _DUTY:
            raise _Later(0.25)

    def _quiet_until(self, task: _Task) -> float:
        """Until when quiet hours hold the first card; 0: they do not, or did already."""
        quiet, question = self._role.quiet, task.question
        ladder = task.live.state.ladders.get(question.id, NO_LADDER)
        now = _now(task)
        known = self._card(task, FIRST)
        if known is not None and known.status == HELD:
            return known.until if known.until > now else 0.0
        if quiet is None or ladder.urgent:
            return 0.0
        until = quiet.until(now)  # not rounded yet: a little after now would be quiet hours, too
        return round(until, 3) if now < until < question.deadline else 0.0

    async def _hold(self, task: _Task, rung: int, until: float) -> None:
        """Record that a card is held, and arm what sends it then. Repeatable."""
        question = task.question
        known = self._card(task, rung)
        if known is None or known.status == FAILED:
            await self._record(task, self._notified(task, rung, HELD, until=until))
        crash.point("after_card_held")
        due = Due(
            kind="held",
            run=task.live.id,
            at=until,
            role=self._role.name,
            ticket=task.live.state.ticket,
            question=question.id,
        )
        name = timer_of(question.id, f"held={self._role.name}={self._channel}={until:.0f}")
        await self._timers.arm(name, until, msgspec.json.encode(due), word=WAKE)

    def _notified(self, task: _Task, rung: int, status: CardStatus, **what: Any) -> Notified:
        """What became of a card, as it is recorded."""
        return Notified(
            id=task.question.id,
            role=self._role.name,
            channel=self._channel,
            rung=rung,
            status=status,
            seq=task.delivery.seq,
            **what,
        )

    async def _record(self, task: _Task, record: Notified) -> None:
        try:
            await task.live.append([record])
        except Fenced:
            await task.live.catch_up()  # another worker was faster, or the run was removed
        question = task.live.state.questions.get(record.id)
        if question is not None and question.status == OPEN:
            await self._listed.show_again(task.live, question, record.role)

    # -- failures ------------------------------------------------------------------------------

    async def _failed(self, task: _Task, rung: int, error: ChannelError) -> None:
        """Have a card tried again, or give it up. Raises _Later."""
        reason = message_of(error)
        delay = self._attempts.pause(task.delivery, error)
        in_time = clock.now() + delay < task.question.deadline
        if in_time and not self._is_hopeless(task, error):
            log.info(
                "card.postponed",
                run=task.live.id,
                question=task.question.id,
                channel=self._channel,
                error=reason,
                seconds=round(delay, 1),
            )
            raise _Later(delay)
        record = self._notified(task, rung, FAILED, reason=reason)
        await self._giving_up.record(task.live, record, task.delivery)

    # -- keeping up to date --------------------------------------------------------------------

    async def _refresh(self, task: _Task, cards: list[SentCard]) -> None:
        """Let cards that were sent show what is true now. Raises _Later."""
        live = task.live
        secret = bool(cards) and await self._is_secret(live.id)
        for card in cards:
            for _ in range(_ROUNDS):
                shown = self._rendered(task, card.rung, secret=secret)
                try:
                    await task.turn.refresh(card.ref, shown)
                except ChannelError as error:
                    self._not_refreshed(task, error)
                    break
                # A slower call of another worker may have shown an older state after this one.
                await live.confirm()
                if self._rendered(task, card.rung, secret=secret) == shown:
                    break

    def _not_refreshed(self, task: _Task, error: ChannelError) -> None:
        """Raises _Later, or PoisonMessage if it is not tried again."""
        reason = f"a card on channel {self._channel!r} still shows what was: {message_of(error)}"
        delay = self._attempts.pause(task.delivery, error)
        if self._is_hopeless(task, error):
            raise PoisonMessage(reason)
        raise _Later(delay)

    def _is_hopeless(self, task: _Task, error: ChannelError) -> bool:
        """Whether it is not tried again."""
        return isinstance(error, Undeliverable) or self._attempts.is_hopeless(task.delivery, error)

    # -- what the log says ---------------------------------------------------------------------

    def _cards(self, task: _Task) -> list[SentCard]:
        cards = task.live.state.cards.get(task.question.id, ())
        return [
            card for card in cards if (card.role, card.channel) == (self._role.name, self._channel)
        ]

    def _card(self, task: _Task, rung: int) -> SentCard | None:
        return card_in(self._cards(task), self._role.name, self._channel, rung)

    def _rendered(self, task: _Task, rung: int, *, secret: bool) -> Card:
        first = first_in(self._cards(task), self._role.name, self._channel) if rung != FIRST else ""
        place = Place(self._role.name, self._channel, rung, first)
        question = task.live.state.questions[task.question.id]
        return card_of(task.live.state, question, place, self._names, secret=secret)

    async def _is_secret(self, run: str) -> bool:
        encrypted = self._host.ports.encrypted
        return encrypted is not None and await encrypted(run)


def _now(task: _Task) -> float:
    """The time, at least that of the message: a clock that is behind must not lose a wake-up."""
    return max(clock.now(), task.delivery.at)


def _read(delivery: Delivery) -> _Looked:
    """Where a message says to look. Raises PoisonMessage."""
    try:
        looked = _decode(delivery.data)
    except UNREADABLE as error:
        raise PoisonMessage(f"it is neither a question nor a notice: {error}") from None
    if not (is_key(looked.id) and is_word(looked.run)):
        raise PoisonMessage("its question or its run has no possible id")
    return looked


_decode = msgspec.json.Decoder(_Looked).decode


async def _wait_for_log(delivery: Delivery) -> None:
    """Wait for a log that lags behind; after a while it was removed."""
    if delivery.num_delivered < LAGS:
        await delivery.nak(1.0)
    else:
        await delivery.ack()
