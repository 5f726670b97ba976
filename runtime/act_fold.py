"""The fold of what people said to an open question, and which of it comes too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .act_records import ClaimedQuestion, Declined, Passed, Said
from .acts import act_of, held_by_another, why_not
from .entry import Record
from .envelope import Envelope
from .ladder import NO_LADDER, Ladder, LadderRung
from .ladder_records import ESCALATION
from .state import FORM_WITH_ACTS, OPEN, RunState


def _said(state: RunState, record: Said, n: int, envelope: Envelope) -> None:
    del n
    if is_void(state, record):
        return
    state.acts[record.id] = [*state.acts.get(record.id, ()), act_of(record)]
    state.form = max(state.form, FORM_WITH_ACTS)
    if isinstance(record, Passed):
        ladder = state.ladders.setdefault(record.id, Ladder())
        ladder.rungs = [*ladder.rungs, _rung(record, envelope.at)]


def _rung(record: Passed, at: float) -> LadderRung:
    """Passing a question on is an escalation that was not planned."""
    return LadderRung(
        kind=ESCALATION,
        at=record.at,
        to=record.to,
        of=record.role,
        by=record.by,
        rota=record.rota,
        reached=at,
        told=list(record.told),
        absent=dict(record.absent),
        nobody=record.nobody,
    )


def is_void(state: RunState, record: Said) -> bool:
    """Whether the question is closed, or the log contradicts what was said."""
    question = state.questions.get(record.id)
    if question is None or question.status != OPEN:
        return True
    acts, act = state.acts.get(record.id, []), act_of(record)
    if why_not(acts, act) or held_by_another(acts, act) is not None:
        return True
    rungs = state.ladders.get(record.id, NO_LADDER).rungs
    return isinstance(record, Passed) and record.rung != len(rungs)


FOLDS: dict[type[Record], Callable[[RunState, Any, int, Envelope], None]] = {
    ClaimedQuestion: _said,
    Passed: _said,
    Declined: _said,
}
CONFLICTS: dict[type[Record], Callable[[RunState, Any], bool]] = {
    ClaimedQuestion: is_void,
    Passed: is_void,
    Declined: is_void,
}
