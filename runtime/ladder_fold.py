"""The fold of ladders: which rungs a question has, and which were reached while it was open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .entry import Record
from .envelope import Envelope
from .ladder import Ladder, LadderRung
from .ladder_records import Laddered, Reached
from .state import OPEN, RunState


def _laddered(state: RunState, record: Laddered, n: int, envelope: Envelope) -> None:
    del n, envelope
    if record.id in state.questions:
        return
    rungs = [
        LadderRung(kind=each.kind, at=each.at, held=each.held, to=each.to, rota=each.rota)
        for each in record.rungs
    ]
    state.ladders[record.id] = Ladder(to=record.to, urgent=record.urgent, rungs=rungs)


def _reached(state: RunState, record: Reached, n: int, envelope: Envelope) -> None:
    del n
    if _is_void(state, record):
        return
    rung = state.ladders[record.id].rungs[record.rung]
    rung.reached = envelope.at
    rung.told, rung.absent = list(record.told), dict(record.absent)
    rung.nobody, rung.early, rung.claimed = record.nobody, record.early, record.claimed


FOLDS: dict[type[Record], Callable[[RunState, Any, int, Envelope], None]] = {
    Laddered: _laddered,
    Reached: _reached,
}


def _is_asked(state: RunState, record: Laddered) -> bool:
    return record.id in state.questions


def _is_void(state: RunState, record: Reached) -> bool:
    """Whether the question is closed, or has no such rung, or the rung was reached before."""
    question, ladder = state.questions.get(record.id), state.ladders.get(record.id)
    if question is None or question.status != OPEN or ladder is None:
        return True
    return not 0 <= record.rung < len(ladder.rungs) or bool(ladder.rungs[record.rung].reached)


CONFLICTS: dict[type[Record], Callable[[RunState, Any], bool]] = {
    Laddered: _is_asked,
    Reached: _is_void,
}
