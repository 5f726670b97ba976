"""What a run waits for and what it goes on with, as events of its spans. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from ..runtime.choice import REJECTIONS, choice_of
from ..runtime.entry import (
    Answered,
    Arrived,
    Expired,
    Joined,
    Record,
    Reopened,
    Resumed,
    Retried,
    Unblocked,
    Voted,
    Woken,
)
from ..runtime.state import ANSWERED, NEVER, Frame, Question, RunState, Slot
from ..runtime.times import iso
from . import names
from .bounded import shown

Facts: TypeAlias = dict[str, str | float]
QUESTION: Final = "human_input"
_TIMER: Final = "timer"
_EVENT: Final = "event"
_CHILD: Final = "child_run"
_RETRY: Final = "retry"
_REASONS: Final = {
    "ask": QUESTION,
    "sleep": _TIMER,
    "step": _RETRY,
    "event": _EVENT,
    "child": _CHILD,
}
_MOST: Final = 16
"""Events about what one frame waits for."""


def pauses(state: RunState, frame: Frame) -> Iterator[Facts]:
    """What a frame waits for: people, times, events and other runs, but no actor of its run."""
    found = 0
    for key, slot in frame.slots.items():
        reason = _REASONS.get(slot.kind, "")
        if not reason or not _is_open(slot) or found == _MOST:
            continue
        found += 1
        question = state.questions.get(slot.ref) if slot.kind == "ask" else None
        if question is not None:
            yield {
                names.PAUSE_ID: shown(question.id),
                names.PAUSE_REASON: reason,
                **about(question),
            }
        else:
            yield {names.PAUSE_ID: shown(key), names.PAUSE_REASON: reason, **_until(slot)}


def _is_open(slot: Slot) -> bool:
    return not slot.settled and not slot.dropped and bool(slot.ref or slot.wake_at)


def is_calling(frame: Frame) -> bool:
    """Whether a frame waits for another actor of its run."""
    return any(each.kind == "call" and _is_open(each) for each in frame.slots.values())


def _until(slot: Slot) -> Facts:
    return {names.UNTIL: iso(slot.wake_at)} if 0 < slot.wake_at < NEVER else {}


def about(question: Question) -> Facts:
    """Who is asked, and for how long."""
    return {names.ROLE: shown(question.role), names.DEADLINE: iso(question.deadline)}


def resumption(state: RunState, mail: Record) -> Facts | None:
    """What a frame goes on with; None: with the work of its run itself."""
    match mail:
        case Answered(id=id_) | Voted(id=id_) | Expired(id=id_):
            question = state.questions.get(id_)
            return None if question is None else closed(question)
        case Woken(key=key):
            return _from(_TIMER, key)
        case Arrived(key=key):
            return _from(_EVENT, key)
        case Joined(key=key):
            return _from(_CHILD, key)
        case Unblocked() | Reopened() | Retried() | Resumed():
            return _from(_RETRY, "")
        case _:
            return None


def closed(question: Question) -> Facts:
    """How a question ended."""
    waited = max(0.0, round(question.at - question.asked_at, 3)) if question.at else 0.0
    return {
        **_from(QUESTION, question.id),
        **about(question),
        names.RESOLUTION: resolution(question),
        names.WAITED: waited,
    }


def resolution(question: Question) -> str:
    """`answered`, `rejected`, `expired`, `cancelled` or `no_quorum`; `open` if it still is."""
    if question.status == ANSWERED and choice_of(question, question.text) in REJECTIONS:
        return "rejected"
    return question.status


def _from(kind: str, id_: str) -> Facts:
    return {names.RESUMED_TYPE: kind, **({names.RESUMED_FROM: shown(id_)} if id_ else {})}
