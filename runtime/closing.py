"""The fold of answers, votes and deadlines: what closes a question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from . import tally
from .entry import Answered, Expired, Record, Voted
from .envelope import Envelope
from .state import OPEN, Question, RunState


class Refused(Protocol):
    """Why an answer does not count."""

    @property
    def why(self) -> str:
        """The reason, in words."""
        ...

    @property
    def of_key(self) -> bool:
        """Whether its signature fits, and only its key does not count."""
        ...


_TOLERANCE = 0.001
"""Seconds by which two readings of one deadline may differ."""

Refuses: TypeAlias = Callable[[RunState, Question, "Answered | Voted"], Refused | None]
"""Returns why a recorded answer or vote does not count; None when it does. Pure."""


def is_refused(state: RunState, record: Answered | Voted, refuses: Refuses) -> bool:
    """Whether an answer does not count; if only its key is the reason, that is noted."""
    question = state.questions.get(record.id)
    refused = None if question is None else refuses(state, question, record)
    if question is not None and refused is not None and refused.of_key and question.status == OPEN:
        question.doubt = refused.why
    return refused is not None


def is_closed(state: RunState, record: Answered | Expired) -> bool:
    """Whether a question cannot be closed with this record."""
    question = state.questions.get(record.id)
    if question is None or question.status != OPEN:
        return True
    if isinstance(record, Expired):
        return _is_put_off(question, record)
    return question.quorum is not None


def _is_put_off(question: Question, record: Expired) -> bool:
    """Whether the deadline that has passed is not the question's any more: its clock stopped."""
    return 0 < record.due < question.deadline - _TOLERANCE


def is_no_vote(state: RunState, record: Voted) -> bool:
    """Whether a vote does not count, or is counted already."""
    question = state.questions.get(record.id)
    return question is None or bool(tally.why_no_vote(question, record))


def _answered(state: RunState, record: Answered, n: int, envelope: Envelope) -> None:
    del envelope
    question = state.questions.get(record.id)
    if question is None or question.status != OPEN or question.quorum is not None:
        return  # one answer does not decide what several people were asked
    question.status = "answered"
    question.text, question.by = record.text, record.by
    question.at, question.seq = record.at, record.seq
    question.vouched, question.signature = record.vouched, record.signature
    _settle(state, question, n)


def _voted(state: RunState, record: Voted, n: int, envelope: Envelope) -> None:
    del envelope
    question = state.questions.get(record.id)
    if question is None or tally.why_no_vote(question, record):
        return
    tally.count(question, record)
    if question.status != OPEN:
        _settle(state, question, n)


def _expired(state: RunState, record: Expired, n: int, envelope: Envelope) -> None:
    question = state.questions.get(record.id)
    if question is not None and not is_closed(state, record):
        question.status, question.at = "expired", envelope.at
        _settle(state, question, n)


def _settle(state: RunState, question: Question, n: int) -> None:
    """Let the frame that asked continue with mail `n`."""
    state.waits -= 1
    slot = state.slot(question.frame, question.key)
    if slot is not None:
        slot.settled = slot.owner = n


FOLDS: dict[type[Record], Callable[[RunState, Any, int, Envelope], None]] = {
    Answered: _answered,
    Voted: _voted,
    Expired: _expired,
}
