"""What became of a question's cards, in a few lines."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from . import times
from .untrusted_text import one_line

if TYPE_CHECKING:
    from ...actors.people.shown_card import ShownCard
    from ...views.rows import QuestionRow

_REASON = 100


def card_lines(row: QuestionRow, now: datetime | None = None) -> list[str]:
    """Where it is shown and where not, and which cards are held; empty if nothing was tried yet."""
    newest = {(card.role, card.channel): card for card in row.cards}.values()
    shown = [card.channel for card in newest if card.status == "sent"]
    lines = [one_line(f"shown on {', '.join(dict.fromkeys(shown))}")] if shown else []
    lines += [_held(card, now) for card in newest if card.status == "held"]
    lines += [_failed(card) for card in newest if card.status == "failed"]
    lost = dict.fromkeys(card.role for card in row.cards if card.undelivered)
    return [
        *lines,
        *(one_line(f"undelivered: no channel of {role} could show it") for role in lost),
    ]


def _held(card: ShownCard, now: datetime | None) -> str:
    left = times.left(card.until, since=now).removesuffix(" left")
    return one_line(f"held by quiet hours for {card.channel}, for {left}")


def _failed(card: ShownCard) -> str:
    return one_line(f"not shown on {card.channel}: {card.reason}", _REASON)
