"""The fold of repairs: runs that are blocked, reopened, or retried from what failed.

A *blocked* mail is handled again as itself, by the handler of the `Unblocked` that names it, so its
ownership does not change. A *reopened* run had ended, so nobody is working on it: everything up to
that point in each frame that is entered again belongs to the `Reopened`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .ask_backs import is_request
from .entry import (
    NULL,
    Asked,
    Awaited,
    Blocked,
    Called,
    Cancelled,
    Failed,
    Record,
    Reopened,
    Resumed,
    Retried,
    Returned,
    Slept,
    Spawned,
    Stepped,
    Unblocked,
)
from .envelope import Envelope
from .state import OPEN, RETRYABLE, RUNNING, Block, Frame, RunState, Slot

ON_FAILURE = "on_failure"
"""Prefix of the keys of a body's failure handling, which it need not reach again."""
_REPEATABLE = (Stepped, Failed, Asked)
_PROGRESS = (Stepped, Called, Returned, Asked, Slept, Awaited, Spawned)


def note_command(state: RunState, record: Cancelled | Reopened | Unblocked) -> None:
    """Remember the command, so that its redelivery has no effect."""
    if record.command and record.command not in state.commands:
        state.commands.append(record.command)


def note_progress(state: RunState, record: Record, cause: int) -> None:
    """Let every worker try a blocked mail again once it has made progress."""
    block = state.blocks.get(cause)
    if block is not None and isinstance(record, _PROGRESS):
        block.tried = []


def expected(frame: Frame) -> set[str]:
    """The recorded keys that the frame's body must reach before it does anything new."""
    keys = {key for key in frame.slots if not (key.startswith(ON_FAILURE) or is_request(key))}
    return keys.difference(frame.loose)


def _blocked(state: RunState, record: Blocked, n: int, envelope: Envelope) -> None:
    del n
    known = state.blocks.get(record.cause)
    tried = known.tried if known is not None else []
    if record.fingerprint not in tried:
        tried = [*tried, record.fingerprint]
    state.blocks[record.cause] = Block(
        frame=record.frame,
        key=record.key,
        kind=record.kind,
        reason=record.reason,
        needs=record.needs,
        since=envelope.at,
        tried=tried,
        command=known.command if known is not None else "",
    )


def _unblocked(state: RunState, record: Unblocked, n: int, envelope: Envelope) -> None:
    del envelope
    block = state.blocks.get(record.cause)
    if block is not None and not block.resumed:
        block.resumed, block.command = n, record.command
        note_command(state, record)


def _reopened(state: RunState, record: Reopened, n: int, envelope: Envelope) -> None:
    if not state.frames or not _may_be_reopened(state, record):
        return
    state.abandoned_by = ""
    state.status, state.result, state.error, state.failure = RUNNING, NULL, "", None
    state.people_took, state.asking_since = max(0.0, envelope.at - state.started_at), 0.0
    state.reopened, state.blocks = n, {}
    if record.origin:
        state.origins.append(record.origin)
    note_command(state, record)
    _retry_steps(state, state.root, state.root.steps, n)
    for frame in state.frames.values():
        if not frame.done:
            _reopen_frame(frame, n)
            _ask_again(state, frame, n)
    state.root.resumed = n
    state.waits = _waits(state)


def _retried(state: RunState, record: Retried, n: int, envelope: Envelope) -> None:
    del envelope
    frame = state.frames.get(record.frame)
    if frame is None or frame.done:
        return
    question = state.questions.get(record.question)
    if question is not None:
        question.retried = n
    if record.event != NULL:
        state.event = record.event
        frame.loose = list(frame.slots)  # another input may lead elsewhere
    if record.steps:
        _retry_steps(state, frame, record.steps, n)
    else:
        frame.rounds += 1
    if record.input != NULL and record.steps:
        frame.inputs[record.steps[0]] = record.input
    if record.whole:
        _reopen_frame(frame, n)
        frame.resumed = n
    state.waits = _waits(state)


def _resumed(state: RunState, record: Resumed, n: int, envelope: Envelope) -> None:
    del envelope
    frame = state.frames.get(record.frame)
    if frame is not None and frame.reopened and not frame.resumed:
        frame.resumed = n


def _reopen_frame(frame: Frame, n: int) -> None:
    frame.reopened, frame.resumed = n, 0


def _retry_steps(state: RunState, frame: Frame, steps: Iterable[str], n: int) -> None:
    """Forget the failures of `steps` and of everything that they called."""
    keys = [key for key in steps if key in frame.slots] or _last_failure(frame)
    since = min((frame.slots[key].settled for key in keys), default=0)
    frame.rounds += 1
    frame.steps = []
    later = {key for key, slot in frame.slots.items() if since and slot.settled >= since}
    frame.loose = sorted(later.union(frame.loose))
    for key in keys:
        _forget(state, frame, key, n)
        for inner, slot in list(frame.slots.items()):
            if inner.startswith(f"{key}/") and slot.error is not None:
                _forget(state, frame, inner, n)


def _last_failure(frame: Frame) -> list[str]:
    """What ended a frame if its log does not say: the failure that nothing followed.

    Empty if the frame was waiting for something, because its body had handled its failures.
    """
    waits = (slot.ref or slot.wake_at for slot in frame.slots.values() if not slot.settled)
    if not frame.slots or any(waits):
        return []
    key, slot = max(frame.slots.items(), key=lambda each: each[1].settled)
    return [key] if slot.settled and slot.error is not None else []


def _forget(state: RunState, frame: Frame, key: str, n: int) -> None:
    slot = frame.slots[key]
    child = state.frames.get(slot.ref) if slot.kind == "call" else None
    if slot.kind == "ask":
        _reset_question(state, frame, key, n)
    elif slot.kind in {"call", "child"}:
        slot.settled = slot.owner = 0
        slot.result, slot.error = NULL, None
        slot.woken = n
    else:
        frame.slots[key] = Slot(kind=slot.kind, woken=n)
    if child is not None:
        child.done = False
        _reopen_frame(child, n)
        _retry_steps(state, child, child.steps, n)
        _ask_again(state, child, n)


def _ask_again(state: RunState, frame: Frame, n: int) -> None:
    """Ask the questions again that the end of the run or frame closed.

    A child may have ended while nobody was waiting for it: it is asked again too.
    """
    for key, slot in list(frame.slots.items()):
        if slot.kind == "child" and slot.ref and not slot.settled:
            slot.woken = n
        question = state.questions.get(slot.ref) if slot.kind == "ask" else None
        if question is not None and not slot.settled and question.status != OPEN:
            _reset_question(state, frame, key, n)


def _reset_question(state: RunState, frame: Frame, key: str, n: int) -> None:
    frame.slots[key] = Slot(kind="ask", woken=n)
    frame.again[key] = frame.again.get(key, 0) + 1
    state.asked_again += 1


def _waits(state: RunState) -> int:
    count = sum(question.status == OPEN for question in state.questions.values())
    for frame in state.frames.values():
        for slot in frame.slots.values():
            open_ = not slot.settled and not slot.dropped
            waits = slot.wake_at or (slot.kind in {"event", "child"} and slot.ref)
            count += bool(open_ and waits and slot.kind != "ask")
    return count


FOLDS: dict[type[Record], Callable[[RunState, Any, int, Envelope], None]] = {
    Blocked: _blocked,
    Unblocked: _unblocked,
    Reopened: _reopened,
    Retried: _retried,
    Resumed: _resumed,
}


def _is_blocked(state: RunState, record: Blocked) -> bool:
    known = state.blocks.get(record.cause)
    frame = state.frames.get(record.frame)
    return frame is None or frame.done or (known is not None and not known.resumed)


def _is_unblocked(state: RunState, record: Unblocked) -> bool:
    known = state.blocks.get(record.cause)
    return known is None or bool(known.resumed)


def _is_retried(state: RunState, record: Retried) -> bool:
    question = state.questions.get(record.question)
    frame = state.frames.get(record.frame)
    return frame is None or frame.done or (question is not None and bool(question.retried))


def is_stale(state: RunState, record: Record, cause: int) -> bool:
    """Whether what mail `cause` did was forgotten since, and belongs to another mail now."""
    if not isinstance(record, _REPEATABLE):
        return False
    slot = state.slot(record.frame, record.key)
    return slot is not None and 0 < cause < slot.woken


def _is_resumed(state: RunState, record: Resumed) -> bool:
    frame = state.frames.get(record.frame)
    return frame is None or frame.done or not frame.reopened or bool(frame.resumed)


def cannot_be_reopened(state: RunState, record: Reopened) -> bool:
    """Whether the run has not failed, or `record` comes a second time."""
    repeated = bool(record.origin) and record.origin in state.origins
    executed = bool(record.command) and record.command in state.commands
    return repeated or executed or not _may_be_reopened(state, record)


def _may_be_reopened(state: RunState, record: Reopened) -> bool:
    """Whether it failed, or ended with its parent, which continues and asks for it."""
    if state.removed:
        return False
    return state.status in RETRYABLE or bool(record.origin and state.abandoned_by)


CONFLICTS: dict[type[Record], Callable[[RunState, Any], bool]] = {
    Blocked: _is_blocked,
    Unblocked: _is_unblocked,
    Retried: _is_retried,
    Resumed: _is_resumed,
}
