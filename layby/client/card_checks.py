"""What a decision's file shows about cards: who was asked on which channel. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ..runtime.card_records import FIRST, Notified, Undelivered
from ..runtime.entry import Record
from .decision_file import Check, Checks, Decision, Delivery

UNDELIVERED = "undelivered"


def check_cards(decision: Decision, records: Iterable[tuple[int, Record]]) -> Checks:
    """Check that the log has the cards that the file lists."""
    if decision.cards is None:
        return  # an earlier release has written it
    logged = deliveries(decision.question.id, records)
    times = {entry.n: entry.at for entry in decision.entries}
    for card in decision.cards:
        if _facts(card) not in map(_facts, logged):
            yield Check(ok=False, what=f"the log does not say: {in_words(card)}")
        elif times.get(card.entry) != card.at:
            yield Check(ok=False, what=f"{in_words(card)}: not at {card.at}, says its entry")
        else:
            yield Check(ok=True, what=in_words(card))
    if missing := len(logged) - len(decision.cards):
        yield Check(ok=False, what=f"the log says what became of {missing} more cards")


def deliveries(
    question: str, records: Iterable[tuple[int, Record]], times: dict[int, str] | None = None
) -> list[Delivery]:
    """What became of the cards of a question, by the records of its log and their positions."""
    found: list[Delivery] = []
    for n, record in records:
        if not isinstance(record, Notified | Undelivered) or record.id != question:
            continue
        card = Delivery(
            role=record.role,
            rung=None if record.rung == FIRST else record.rung,
            status=UNDELIVERED,
            entry=n,
            at=(times or {}).get(n, ""),
        )
        if isinstance(record, Notified):
            card = msgspec.structs.replace(
                card,
                channel=record.channel,
                status=record.status,
                reason=record.reason,
                ref=record.ref,
                message=record.seq,
            )
        found.append(card)
    return found


def _facts(card: Delivery) -> Sequence[object]:
    about = (card.role, card.channel, card.rung, card.status, card.reason)
    return (*about, card.ref, card.message, card.entry)


def in_words(card: Delivery) -> str:
    """What became of a card, in words."""
    rung = "" if card.rung is None else f" for rung {card.rung}"
    if card.status == UNDELIVERED:
        return f"no channel could tell {card.role}{rung}"
    why = f": {card.reason}" if card.reason else ""
    return f"the card to {card.role} on {card.channel}{rung} was {card.status}{why}"
