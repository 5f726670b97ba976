"""Whom an entry of a log wakes."""

from __future__ import annotations

from .entry import (
    ROOT,
    Answered,
    Arrived,
    Called,
    Expired,
    Joined,
    Record,
    Returned,
    Started,
    Woken,
)
from .state import Frame, RunState


def addressee(state: RunState, record: Record) -> Frame | None:
    """The frame that a mail wakes."""
    match record:
        case Called():
            return state.frames.get(record.child)
        case Returned():
            child = state.frames.get(record.frame)
            return state.frames.get(child.parent) if child else None
        case Answered() | Expired():
            question = state.questions.get(record.id)
            return state.frames.get(question.frame) if question else None
        case Woken() | Arrived() | Joined():
            return state.frames.get(record.frame)
        case Started():
            return state.frames.get(ROOT)
        case _:
            return None
