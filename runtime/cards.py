"""A question's cards as the log has them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .card_records import FAILED, FIRST, HELD, SENT, CardStatus


class SentCard(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One card; see `Notified`."""

    role: str
    channel: str
    rung: int = FIRST
    status: CardStatus
    at: float
    """When that became known, Unix seconds."""
    ref: str = ""
    reason: str = ""
    until: float = 0.0
    seq: int = 0
    undelivered: bool = False
    """Whether no channel of the role has taken it."""

    @property
    def waits(self) -> bool:
        """Whether quiet hours hold it, or have held it until nobody was there to send it."""
        unserved = self.status == FAILED and not self.seq
        return self.status == HELD or (unserved and self.until > 0)

    def is_final(self, seq: int) -> bool:
        """Whether message `seq` no longer causes it to be sent: it was sent or given up before.

        A message that failed and was published again has another sequence. What no process has
        sent in time has none, and is sent when one does.
        """
        return self.status == SENT or (self.status == FAILED and seq <= self.seq)


def card_in(cards: Iterable[SentCard], role: str, channel: str, rung: int) -> SentCard | None:
    """A card that was sent, held or given up; None: nothing is known of it."""
    place = (role, channel, rung)
    return next((each for each in cards if (each.role, each.channel, each.rung) == place), None)


def first_in(cards: Iterable[SentCard], role: str, channel: str) -> str:
    """The reference of the first card on a channel; empty: none was sent."""
    first = card_in(cards, role, channel, FIRST)
    return first.ref if first is not None and first.status == SENT else ""
