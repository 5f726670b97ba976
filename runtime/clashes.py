"""The other half of the fence: which records have lost against what the log holds already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import mending
from .entry import (
    Answered,
    Arrived,
    Asked,
    Awaited,
    Called,
    Cancelled,
    Claimed,
    Ended,
    Expired,
    Failed,
    Joined,
    Record,
    Removed,
    Reopened,
    Returned,
    Slept,
    Spawned,
    Started,
    Stepped,
    Withdrawn,
    Woken,
)
from .state import OPEN, RunState


def clashes(state: RunState, record: Record) -> bool:
    """Whether `record` has lost: the log already holds what it would say, or says otherwise.

    The other half of the fence. A writer that finds its position taken folds what came between
    and asks this before it tries the next position.
    """
    if isinstance(record, Reopened):
        return mending.cannot_be_reopened(state, record)
    if isinstance(record, Removed):
        return state.removed or not state.ended
    return state.ended or _CLASHES[type(record)](state, record)


def _began(state: RunState, _: Record) -> bool:
    return bool(state.frames)


def _never(_: RunState, __: Record) -> bool:
    return False


def _is_void(state: RunState, record: Cancelled) -> bool:
    """Whether the parent that ended, or waited no longer, has come back to the run since."""
    return 0 < record.at < state.claimed


def _is_claimed(state: RunState, record: Claimed) -> bool:
    return state.claimed >= record.at


def _is_settled(state: RunState, record: Stepped | Failed) -> bool:
    slot = state.slot(record.frame, record.key)
    taken = slot is not None and bool(slot.kind != "step" or slot.settled or slot.wake_at)
    return taken or _over(state, record.frame)


_KINDS: dict[type[Record], str] = {
    Called: "call",
    Asked: "ask",
    Slept: "sleep",
    Awaited: "event",
    Spawned: "child",
}


def _is_known(state: RunState, record: Called | Asked | Slept | Awaited | Spawned) -> bool:
    slot = state.slot(record.frame, record.key)
    if slot is None:
        return _over(state, record.frame)
    return not (slot.again and slot.kind == _KINDS[type(record)]) or _over(state, record.frame)


def _is_over(state: RunState, record: Returned) -> bool:
    return _over(state, record.frame)


def _is_closed(state: RunState, record: Answered | Expired) -> bool:
    question = state.questions.get(record.id)
    return question is None or question.status != OPEN


def _is_awake(state: RunState, record: Woken) -> bool:
    slot = state.slot(record.frame, record.key)
    return slot is None or bool(slot.settled) or not slot.wake_at


def _is_done(state: RunState, record: Arrived | Joined | Withdrawn) -> bool:
    slot = state.slot(record.frame, record.key)
    return slot is None or bool(slot.settled)


def _is_spent(state: RunState, record: Arrived) -> bool:
    slot = state.slot(record.frame, record.key)
    return slot is None or not state.may_give(slot, record.seq)


_CLASHES: dict[type[Record], Callable[[RunState, Any], bool]] = {
    Started: _began,
    Stepped: _is_settled,
    Failed: _is_settled,
    Called: _is_known,
    Asked: _is_known,
    Slept: _is_known,
    Awaited: _is_known,
    Spawned: _is_known,
    Returned: _is_over,
    Answered: _is_closed,
    Expired: _is_closed,
    Woken: _is_awake,
    Arrived: _is_spent,
    Joined: _is_done,
    Withdrawn: _is_done,
    Cancelled: _is_void,
    Claimed: _is_claimed,
    Ended: _never,
    **mending.CLASHES,
}


def _over(state: RunState, frame: str) -> bool:
    found = state.frames.get(frame)
    return found is None or found.done
