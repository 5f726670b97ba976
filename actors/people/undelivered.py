"""Gives up a card. If no other channel of the role is left, the next escalation is reached."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ...bus.dead import DeadLetters
from ...bus.log import NOBODY
from ...bus.mailbox import Delivery
from ...runtime import clock, crash
from ...runtime.card_records import FAILED, Notified, Undelivered
from ...runtime.cards import SentCard, card_in
from ...runtime.entry import Record
from ...runtime.errors import Fenced
from ...runtime.ladder import NO_LADDER
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question, RunState
from .open_questions import OpenQuestions
from .rungs import Rungs

_TRIES: Final = 16
"""Times that it is tried to be recorded while the run's log grows."""


class GivingUp:
    """Records the cards to one role that are given up."""

    def __init__(
        self,
        role: str,
        channels: Collection[str],
        rungs: Rungs,
        listed: OpenQuestions,
        dead: DeadLetters,
    ) -> None:
        self._role = role
        self._channels = frozenset(channels)
        """The names of all channels of the role."""
        self._rungs = rungs
        self._listed = listed
        self._dead = dead

    async def record(self, live: LiveRun, record: Notified, delivery: Delivery) -> None:
        """Record that a channel has given up a card, and put its message aside. Repeatable.

        With the last channel of the role, the same entry says that nobody was told, and reaches the
        next escalation: two channels that give up at the same time cannot both be the last.
        """
        for _ in range(_TRIES):
            question = live.state.questions[record.id]
            if question.status != OPEN:
                return
            cards = live.state.cards.get(record.id, ())
            known = card_in(cards, record.role, record.channel, record.rung)
            if known is not None and known.is_final(record.seq):
                break  # another worker was faster
            if await self._append(live, question, record):
                crash.point("after_card_recorded")
                await self._listed.show_again(live, live.state.questions[record.id], self._role)
                break
        await self.set_aside(record, delivery)

    async def set_aside(self, card: Notified | SentCard, delivery: Delivery) -> None:
        """Make the message of a card that was given up a dead letter. Repeatable."""
        mailbox = f"cards-{self._role}-{card.channel}"
        await self._dead.put(delivery, mailbox, f"channel {card.channel}: {card.reason}")

    async def _append(self, live: LiveRun, question: Question, record: Notified) -> bool:
        """Whether it was appended; if not, the log has said more since."""
        state = live.state
        failed = self._failed(state, record)
        others = self._channels - {record.channel}
        records: list[Record] = [record]
        to = NOBODY
        if others <= failed:
            records.append(Undelivered(id=record.id, role=self._role, rung=record.rung))
            place = state.ladders.get(question.id, NO_LADDER).next_escalation(record.rung)
            if place is not None:
                reached, to = await self._rungs.records(
                    state, question, place, clock.now(), early=True
                )
                records += reached

        def check(newest: RunState) -> None:
            if self._failed(newest, record) != failed:
                raise Fenced(f"run {newest.id}: another channel has given up too")

        try:
            await live.append(records, to=to, check=check)
        except Fenced:
            await live.catch_up()
            return False
        return True

    def _failed(self, state: RunState, record: Notified) -> set[str]:
        """The other channels of the role that have given up the same card."""
        cards = state.cards.get(record.id, ())
        found = {
            channel: card_in(cards, self._role, channel, record.rung) for channel in self._channels
        }
        return {
            channel
            for channel, card in found.items()
            if channel != record.channel and card is not None and card.status == FAILED
        }
