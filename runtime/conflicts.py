"""The other half of the fence: which records conflict with what the log already holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import act_fold, ask_back_fold, card_fold, closing, ladder_fold, opened_fold, repairs
from .card_records import Notified
from .entry import (
    Addressed,
    Answered,
    Arrived,
    Asked,
    Awaited,
    Called,
    Cancelled,
    Ended,
    Expired,
    Failed,
    Joined,
    Proposed,
    Record,
    Reopened,
    Returned,
    Slept,
    Spawned,
    Started,
    Stepped,
    Voted,
    Withdrawn,
    Woken,
)
from .state import RunState
from .unseen_records import Claimed, Removed


def conflicts(state: RunState, record: Record) -> bool:
    """Whether the log already says what `record` would say, or contradicts it.

    A writer that finds its position taken folds the new entries, and asks this before it tries the
    next position.
    """
    if isinstance(record, Reopened):
        return repairs.cannot_be_reopened(state, record)
    if isinstance(record, Removed):
        return state.removed or not state.ended
    if isinstance(record, Notified):
        return card_fold.is_known(state, record)
    return state.ended or _CONFLICTS[type(record)](state, record)


def _began(state: RunState, _: Record) -> bool:
    return bool(state.frames)


def _never(_: RunState, __: Record) -> bool:
    return False


def _is_void(state: RunState, record: Cancelled) -> bool:
    """Whether the parent, which had ended or stopped waiting, has claimed the run again since."""
    return 0 < record.at < state.claimed


def _is_claimed(state: RunState, record: Claimed) -> bool:
    return state.claimed >= record.at


def _is_settled(state: RunState, record: Stepped | Failed) -> bool:
    slot = state.slot(record.frame, record.key)
    taken = slot is not None and bool(slot.kind != "step" or slot.settled or slot.wake_at)
    return taken or _is_frame_over(state, record.frame)


_KINDS: dict[type[Record], str] = {
    Called: "call",
    Asked: "ask",
    Proposed: "ask",
    Addressed: "ask",
    Slept: "sleep",
    Awaited: "event",
    Spawned: "child",
}


def _is_known(state: RunState, record: Called | Asked | Slept | Awaited | Spawned) -> bool:
    slot = state.slot(record.frame, record.key)
    known = slot is not None and not (slot.again and slot.kind == _KINDS[type(record)])
    return known or _is_frame_over(state, record.frame)


def _is_over(state: RunState, record: Returned) -> bool:
    return _is_frame_over(state, record.frame)


def _is_awake(state: RunState, record: Woken) -> bool:
    slot = state.slot(record.frame, record.key)
    return slot is None or bool(slot.settled) or not slot.wake_at


def _is_done(state: RunState, record: Arrived | Joined | Withdrawn) -> bool:
    slot = state.slot(record.frame, record.key)
    return slot is None or bool(slot.settled)


def _is_spent(state: RunState, record: Arrived) -> bool:
    slot = state.slot(record.frame, record.key)
    return slot is None or not state.may_receive(slot, record.seq)


_CONFLICTS: dict[type[Record], Callable[[RunState, Any], bool]] = {
    Started: _began,
    Stepped: _is_settled,
    Failed: _is_settled,
    Called: _is_known,
    Asked: _is_known,
    Proposed: _is_known,
    Addressed: _is_known,
    Slept: _is_known,
    Awaited: _is_known,
    Spawned: _is_known,
    Returned: _is_over,
    Answered: closing.is_closed,
    Voted: closing.is_no_vote,
    Expired: closing.is_closed,
    Woken: _is_awake,
    Arrived: _is_spent,
    Joined: _is_done,
    Withdrawn: _is_done,
    Cancelled: _is_void,
    Claimed: _is_claimed,
    Ended: _never,
    **act_fold.CONFLICTS,
    **ask_back_fold.CONFLICTS,
    **ladder_fold.CONFLICTS,
    **card_fold.CONFLICTS,
    **opened_fold.CONFLICTS,
    **repairs.CONFLICTS,
}


def _is_frame_over(state: RunState, frame: str) -> bool:
    found = state.frames.get(frame)
    return found is None or found.done
