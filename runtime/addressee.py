"""Which frame an entry of a log wakes."""

from __future__ import annotations

from typing import NamedTuple

from .ask_back_records import AskedBack
from .entry import (
    ROOT,
    Answered,
    Arrived,
    Called,
    Expired,
    Joined,
    Record,
    Reopened,
    Resumed,
    Retried,
    Returned,
    Started,
    Unblocked,
    Voted,
    Woken,
)
from .state import Frame, RunState


class Handling(NamedTuple):
    """A frame to enter, and the mail to handle in it."""

    frame: Frame
    cause: int


def handling(state: RunState, n: int, record: Record) -> Handling | None:
    """How to handle mail `n`; None: there is nothing to do.

    Mail that unblocks another mail, or resumes a frame, causes earlier mail to be handled.
    """
    match record:
        case Unblocked():
            block = state.blocks.get(record.cause)
            mine = block is not None and block.resumed == n
            frame = state.frames.get(block.frame) if block is not None and mine else None
            cause = record.cause
        case Resumed():
            frame = state.frames.get(record.frame)
            frame = frame if frame is not None and frame.resumed == n else None
            cause = frame.reopened if frame is not None else n
        case _:
            frame = None if n in state.blocks else addressee(state, record)
            cause = n
    return None if frame is None or frame.done else Handling(frame, cause)


def addressee(state: RunState, record: Record) -> Frame | None:
    """The frame that a mail wakes."""
    match record:
        case Called():
            return state.frames.get(record.child)
        case Returned():
            child = state.frames.get(record.frame)
            return state.frames.get(child.parent) if child else None
        case Answered() | Voted() | Expired() | AskedBack():
            question = state.questions.get(record.id)
            return state.frames.get(question.frame) if question else None
        case Woken() | Arrived() | Joined() | Retried():
            return state.frames.get(record.frame)
        case Started() | Reopened():
            return state.frames.get(ROOT)
        case _:
            return None
