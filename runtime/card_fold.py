"""The fold of cards: what became of each, and which of them reached nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .card_records import HELD, SENT, Notified, Undelivered
from .cards import SentCard, card_in
from .entry import Record
from .envelope import Envelope
from .state import FORM_WITH_CARDS, OPEN, RunState


def _notified(state: RunState, record: Notified, n: int, envelope: Envelope) -> None:
    del n
    state.form = max(state.form, FORM_WITH_CARDS)
    if is_known(state, record):
        return
    cards = state.cards.setdefault(record.id, [])
    card = card_in(cards, record.role, record.channel, record.rung)
    if card is None:
        card = SentCard(
            role=record.role,
            channel=record.channel,
            rung=record.rung,
            status=record.status,
            at=envelope.at,
        )
        cards.append(card)
    card.status, card.at, card.seq = record.status, envelope.at, record.seq
    card.ref, card.reason, card.until = record.ref, record.reason, record.until
    if record.status == SENT:  # after its letter was retried, or by a process that started late
        for each in cards:
            if (each.role, each.rung) == (record.role, record.rung):
                each.undelivered = False


def _undelivered(state: RunState, record: Undelivered, n: int, envelope: Envelope) -> None:
    del n, envelope
    if _is_undelivered(state, record):
        return
    for card in state.cards.get(record.id, ()):
        if (card.role, card.rung) == (record.role, record.rung):
            card.undelivered = True


FOLDS: dict[type[Record], Callable[[RunState, Any, int, Envelope], None]] = {
    Notified: _notified,
    Undelivered: _undelivered,
}


def is_known(state: RunState, record: Notified) -> bool:
    """Whether the log already says this of a card, or something newer, or has no such question."""
    if state.removed or record.id not in state.questions:
        return True
    card = card_in(state.cards.get(record.id, ()), record.role, record.channel, record.rung)
    if card is None:
        return False
    return card.is_final(record.seq) or card.status == record.status == HELD


def _is_undelivered(state: RunState, record: Undelivered) -> bool:
    question = state.questions.get(record.id)
    if question is None or question.status != OPEN:
        return True
    return any(
        card.undelivered
        for card in state.cards.get(record.id, ())
        if (card.role, card.rung) == (record.role, record.rung)
    )


CONFLICTS: dict[type[Record], Callable[[RunState, Any], bool]] = {
    Undelivered: _is_undelivered,
}
"""Without `Notified`, which may come after its run has ended."""
