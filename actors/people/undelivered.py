"""Gives up cards. If no other channel of the role is left, the next escalation is reached."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from ...bus.dead import DeadLetters
from ...bus.log_subject import NOBODY
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
"""Attempts to record it while the run's log grows."""


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
            known = self._known(live.state, record)
            if known is not None and known.is_final(record.seq):
                break  # another worker was faster
            if await self._append(live, question, [record]):
                crash.point("after_card_recorded")
                await self._listed.show_again(live, live.state.questions[record.id], self._role)
                break
        await self.set_aside(record, delivery)

    async def unserved(self, live: LiveRun, records: Sequence[Notified]) -> None:
        """Record that no process has sent these cards of one question. Repeatable.

        Their messages stay where they are: a later process for the channel still sends them.
        """
        for _ in range(_TRIES):
            left = [each for each in records if not self._is_settled(live.state, each)]
            if not left or live.state.questions[left[0].id].status != OPEN:
                break
            if await self._append(live, live.state.questions[left[0].id], left):
                crash.point("after_unserved_recorded")
                break
        if records and live.state.questions[records[0].id].status == OPEN:
            await self._listed.show_again(live, live.state.questions[records[0].id], self._role)

    async def set_aside(self, card: Notified | SentCard, delivery: Delivery) -> None:
        """Make the message of a card that was given up a dead letter. Repeatable."""
        mailbox = f"cards-{self._role}-{card.channel}"
        await self._dead.put(delivery, mailbox, f"channel {card.channel}: {card.reason}")

    async def _append(self, live: LiveRun, question: Question, given: Sequence[Notified]) -> bool:
        """Whether they were appended; if not, the log has said more since."""
        state, record = live.state, given[0]
        seen = self._cards(state, record)
        others = self._channels - {each.channel for each in given}
        records: list[Record] = [*given]
        to = NOBODY
        was_lost = any(undelivered for *_, undelivered in seen)
        if others <= self._failed(state, record) and not was_lost:
            records.append(Undelivered(id=record.id, role=self._role, rung=record.rung))
            place = state.ladders.get(question.id, NO_LADDER).next_escalation(record.rung)
            if place is not None:
                reached, to = await self._rungs.records(
                    state, question, place, clock.now(), early=True
                )
                records += reached

        def check(newest: RunState) -> None:
            if self._cards(newest, record) != seen:
                raise Fenced(f"run {newest.id}: another channel has said what became of its card")

        try:
            await live.append(records, to=to, check=check)
        except Fenced:
            await live.catch_up()
            return False
        return True

    def _known(self, state: RunState, record: Notified) -> SentCard | None:
        cards = state.cards.get(record.id, ())
        return card_in(cards, self._role, record.channel, record.rung)

    def _is_settled(self, state: RunState, record: Notified) -> bool:
        """Whether the log says what became of a card that nobody had sent."""
        known = self._known(state, record)
        return known is not None and known.is_final(record.seq)

    def _cards(self, state: RunState, record: Notified) -> list[tuple[str, str, int, bool]]:
        """What the log says of all cards to the role at the same rung."""
        return [
            (card.channel, card.status, card.seq, card.undelivered)
            for card in state.cards.get(record.id, ())
            if (card.role, card.rung) == (self._role, record.rung)
        ]

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
