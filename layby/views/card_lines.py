"""The lines of a timeline about cards: what became of each on its channel."""

from __future__ import annotations

from typing import Any

from ..runtime.card_records import FAILED, HELD, Notified, Undelivered
from ..runtime.times import iso


def card_words(record: Notified) -> str:
    """What became of a card, in a few words."""
    if record.status == HELD:
        return f"quiet hours hold the card to {record.channel}"
    return f"{'no card reached' if record.status == FAILED else 'sent a card to'} {record.channel}"


def card_line(record: Notified) -> dict[str, Any]:
    """The line about a card."""
    until = iso(record.until) if record.until else ""
    return {
        "kind": f"card.{record.status}",
        "actor": record.role,
        "title": card_words(record),
        "detail": " ".join(record.reason.split())[:500] or (f"until {until}" if until else ""),
        "data": {
            "id": record.id,
            "channel": record.channel,
            "rung": record.rung,
            "reason": record.reason,
            "until": until,
        },
    }


def undelivered_line(record: Undelivered) -> dict[str, Any]:
    """The line about a question that no channel could show."""
    return {
        "kind": "question.undelivered",
        "actor": record.role,
        "title": "no channel could show it",
        "data": {"id": record.id, "rung": record.rung},
    }
