"""What became of a question's cards, as people see it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ...bus.token import check_words
from ...runtime.card_records import FIRST, CardStatus
from ...runtime.cards import SentCard
from ...runtime.times import check_times, iso


class ShownCard(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One card on one channel.

    Attributes:
        role: The role that it is for.
        channel: The channel's name.
        status: `sent`, `failed` or `held`.
        at: When that became known.
        rung: The rung that it is for, by its place in the ladder; -1: the question was asked.
        reason: Why it was given up.
        until: Until when quiet hours hold it.
        undelivered: Whether no channel of the role has taken it.
    """

    role: str
    channel: str
    status: CardStatus
    at: str
    rung: int = FIRST
    reason: str = ""
    until: str = ""
    undelivered: bool = False

    def __post_init__(self) -> None:
        """Check the times and names. Raises ValueError."""
        check_times(self.at, self.until)
        check_words(self.role, self.channel)


def shown_cards(cards: Iterable[SentCard]) -> tuple[ShownCard, ...]:
    """The cards of a question."""
    return tuple(
        ShownCard(
            role=card.role,
            channel=card.channel,
            status=card.status,
            at=iso(card.at),
            rung=card.rung,
            reason=card.reason,
            until=iso(card.until) if card.until else "",
            undelivered=card.undelivered,
        )
        for card in cards
    )
