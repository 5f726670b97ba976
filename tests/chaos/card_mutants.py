"""Seeded faults in how questions are shown on channels: what the campaign `cards` must catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import msgspec

from layby.actors.people import card_attempts, notices, notifier, undelivered
from layby.actors.people.channels import email
from layby.client import desk
from layby.runtime import crash
from layby.runtime.card_records import Notified
from layby.runtime.cards import SentCard

from .replacing import replace


def _no(*_: Any) -> bool:
    return False


def _never(*_: Any) -> float:
    return 0.0


def _nobody(*_: Any) -> set[str]:
    return set()


async def _nothing(*_: Any, **__: Any) -> None:
    """Do not do it."""


def card_sent_again() -> None:
    """Send a card whenever its message is delivered, whatever the log says of it."""
    replace(SentCard, "is_final", lambda _: _no)


def closed_question_shown() -> None:
    """Send a card although its question is closed."""
    replace(notifier, "OPEN", lambda _: ANY)


def nobody_notices() -> None:
    """Tell nobody that a question on a channel has changed."""

    async def untold(*_: Any) -> None:
        crash.point("after_notice")

    replace(notices.Notices, "_publish", lambda _: untold)


def card_rewritten_once() -> None:
    """Leave a card as it is where it could not be rewritten at once."""

    def nothing(*_: object) -> None:
        pass

    replace(notifier.Notifier, "_not_refreshed", lambda _: nothing)


def quiet_hours_not_kept() -> None:
    """Send the first card at once, day or night."""
    replace(notifier.Notifier, "_quiet_until", lambda _: _never)


def held_for_ever() -> None:
    """Wake nobody when quiet hours are over."""
    replace(notices.Notices, "wake", lambda _: _nothing)


def tried_again_much_later() -> None:
    """Wait half a minute before a card is tried again that its channel has failed."""

    def slowly(*_: Any) -> float:
        return 30.0

    replace(card_attempts.CardAttempts, "pause", lambda _: slowly)


def acked_before_it_is_sent() -> None:
    """Acknowledge a question before its card is sent."""

    def make(take: Any) -> Any:
        async def hasty(self: Any, delivery: Any) -> None:
            await delivery.ack()
            await take(self, delivery)

        return hasty

    replace(notifier.Notifier, "take", make)


def lost_to_every_channel() -> None:
    """Take it that some other channel can show what this one cannot."""
    replace(undelivered.GivingUp, "_failed", lambda _: _nobody)


def undelivered_too_soon() -> None:
    """Take it that no other channel can show what this one cannot."""

    def make(_: Any) -> Any:
        def all_others(self: Any, state: Any, record: Any) -> set[str]:
            del state
            return set(self._channels) - {record.channel}

        return all_others

    replace(undelivered.GivingUp, "_failed", make)


def recorded_before_it_is_sent() -> None:
    """Record that a card was sent before it is."""

    def make(send: Any) -> Any:
        async def recorded_first(self: Any, task: Any, rung: int) -> None:
            record = Notified(
                id=task.question.id,
                role=self._role.name,
                channel=self._channel,
                rung=rung,
                status="sent",
                ref=f"{task.question.id}.{self._role.name}.{self._channel}.first#1",
                seq=task.delivery.seq,
            )
            await self._record(task, record)
            await send(self, task, rung)

        return recorded_first

    replace(notifier.Notifier, "_send", make)


def everybody_is_told_they_won() -> None:
    """Tell everybody who answers on a channel that their answer was accepted."""

    def make(say: Any) -> Any:
        async def won(self: Any, said: Any, *, via: Any) -> Any:
            return msgspec.structs.replace(await say(self, said, via=via), outcome="accepted")

        return won

    replace(desk.AnswerDesk, "say", make)


def mailed_twice() -> None:
    """Hand each mail to the server again."""

    def make(deliver: Any) -> Any:
        async def twice(self: Any, *given: Any) -> None:
            await deliver(self, *given)
            self._sent.clear()
            await deliver(self, *given)

        return twice

    replace(email.Email, "_deliver_left", make)


FAULTS: tuple[tuple[Callable[[], None], tuple[str, ...]], ...] = (
    (card_sent_again, ("card sent twice",)),
    (closed_question_shown, ("card after the end",)),
    (nobody_notices, ("card left open",)),
    (card_rewritten_once, ("card left open",)),
    (quiet_hours_not_kept, ("card in quiet hours",)),
    (held_for_ever, ("card lost",)),
    (tried_again_much_later, ("card late", "card lost")),
    (acked_before_it_is_sent, ("card lost",)),
    (lost_to_every_channel, ("undelivered missed",)),
    (undelivered_too_soon, ("undelivered wrongly",)),
    (recorded_before_it_is_sent, ("card disagrees with the log", "card lost")),
    (mailed_twice, ("card sent twice",)),
    (everybody_is_told_they_won, ("told otherwise on the channel",)),
)
"""Each with the kinds of violation that it must show as."""
