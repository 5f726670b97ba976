"""The clock of a question, which stops while something asked back has no reply. Pure.

The question's deadline and rungs follow from the log at any time: while the clock is stopped, they
are the latest possible; after the reply, they are later by as long as it was stopped. In total it
stops for no longer than the question was given to begin with, so that an asker who never replies
cannot keep it open forever.
"""

from __future__ import annotations

from .ladder import Ladder
from .state import Question

TOLERANCE = 0.001
"""Seconds by which two readings of one deadline may differ."""


def given(question: Question) -> float:
    """How long the question was given when it was asked, in seconds."""
    return max(0.0, question.deadline - question.stood - _lent(question) - question.asked_at)


def stop(question: Question, ladder: Ladder | None, at: float) -> None:
    """Stop the clock at `at` (Unix seconds), if that applies to this question."""
    if not question.stops or question.stopped_at:
        return
    left = max(0.0, given(question) - question.stood)
    question.stopped_at, question.lent = at, left
    _move(question, ladder, left)


def start(question: Question, ladder: Ladder | None, at: float) -> None:
    """Let the clock run again from `at` (Unix seconds), if it is stopped."""
    if not question.stopped_at:
        return
    took = min(max(0.0, at - question.stopped_at), question.lent)
    _move(question, ladder, took - question.lent)
    question.stood = round(question.stood + took, 3)
    question.stopped_at = question.lent = 0.0


def _lent(question: Question) -> float:
    return question.lent if question.stopped_at else 0.0


def _move(question: Question, ladder: Ladder | None, by: float) -> None:
    question.deadline = round(question.deadline + by, 3)
    for rung in ladder.rungs if ladder is not None else ():
        if not rung.reached:
            rung.at = round(rung.at + by, 3)
