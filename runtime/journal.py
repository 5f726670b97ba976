"""The fold: what a run's log says, as a pure function of its messages.

Nothing here awaits, reads a clock or draws a random number: two workers that have read the same
log hold the same state.

The owner of a settled thing decides which handler may continue from it: see `state`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    act_fold,
    ask_back_fold,
    card_fold,
    closing,
    ladder_fold,
    opened_fold,
    repairs,
    trace_fold,
)
from .card_records import Notified
from .closing import Refuses
from .entry import (
    NULL,
    ROOT,
    Addressed,
    Answered,
    Arrived,
    Asked,
    Awaited,
    Called,
    Cancelled,
    Ended,
    Failed,
    Joined,
    Proposed,
    Raw,
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
from .envelope import Envelope
from .question_fields import fields_of
from .sent import outline_of
from .state import (
    BLOCKED,
    CANCELLED,
    FORM,
    FORM_WITH_ONLY,
    FORM_WITH_VOTES,
    NEVER,
    OPEN,
    RUNNING,
    WAITING,
    Frame,
    Question,
    RunState,
    Slot,
)
from .unseen_records import Claimed, Removed


def fold(state: RunState, n: int, envelope: Envelope, refuses: Refuses | None = None) -> None:
    """Apply message `n`, which must be the next one, to `state`.

    An answer for which `refuses` gives a reason changes nothing: its question stays open.
    """
    if n != state.tail + 1:
        raise ValueError(f"run {state.id}: position {n} cannot follow {state.tail}")
    state.tail = n
    if not (state.ended and any(isinstance(each, Notified) for each in envelope.records)):
        state.updated_at = envelope.at  # of a run that has ended, it is its end
    for record in envelope.records:
        if (
            refuses is not None
            and isinstance(record, Answered | Voted)
            and closing.is_refused(state, record, refuses)
        ):
            continue
        if not state.ended or isinstance(record, Reopened | Removed | Notified):
            _FOLDS[type(record)](state, record, n, envelope)
            if state.blocks:
                repairs.note_progress(state, record, envelope.cause)
    if envelope.trace:
        trace_fold.note(state, envelope)
    if not state.ended:
        state.status = BLOCKED if state.blocked else WAITING if state.waits else RUNNING
    _clock(state, envelope.at)


def skip(state: RunState, n: int, *, newer: bool) -> None:
    """Skip position `n`, which must be the next one and holds no readable entry.

    `newer`: a later release wrote it.
    """
    if n != state.tail + 1:
        raise ValueError(f"run {state.id}: position {n} cannot follow {state.tail}")
    state.tail = n
    if newer and not state.newer:
        state.newer = n


def _clock(state: RunState, at: float) -> None:
    """Track the time that people take for answers and fixes."""
    asking = state.status == BLOCKED or any(
        question.status == OPEN for question in state.questions.values()
    )
    if asking and not state.asking_since:
        state.asking_since = at
    elif not asking and state.asking_since:
        state.people_took += max(0.0, at - state.asking_since)
        state.asking_since = 0.0


def _started(state: RunState, record: Started, n: int, envelope: Envelope) -> None:
    if state.frames:
        return
    state.workflow, state.version = record.workflow, record.version
    state.ticket, state.event, state.parent = record.ticket, record.event, record.parent
    state.seq, state.on, state.form = record.seq, record.on, FORM
    state.title, state.labels = record.title, record.labels
    state.consumed = {record.on: [record.seq]} if record.seq and record.on else {}
    state.started_at = envelope.at
    state.frames[ROOT] = Frame(id=ROOT, actor=record.actor, opened=n)


def _note_sent(state: RunState, record: Stepped | Failed) -> None:
    sent = outline_of(record.sent)
    if sent is not None:
        state.sent.append(sent)


def _stepped(state: RunState, record: Stepped, n: int, envelope: Envelope) -> None:
    _note_sent(state, record)
    if record.spent is not None:
        state.spent += record.spent
    slot = _slot(state, record.frame, record.key, "step")
    if slot is None or slot.settled:
        return
    slot.settled, slot.owner = n, envelope.cause
    slot.place = next(place for place, each in enumerate(envelope.records) if each is record)
    slot.result, slot.error = record.result, record.error


def _failed(state: RunState, record: Failed, n: int, envelope: Envelope) -> None:
    del n, envelope
    _note_sent(state, record)
    slot = _slot(state, record.frame, record.key, "step")
    if slot is None or slot.settled or slot.wake_at:
        return
    slot.attempts = record.error.attempts
    slot.wake_at = record.retry_at
    state.waits += 1


def _called(state: RunState, record: Called, n: int, envelope: Envelope) -> None:
    del envelope
    slot = _slot(state, record.frame, record.key, "call")
    if slot is None or slot.ref:
        return
    slot.ref = record.child
    state.frames[record.child] = Frame(
        id=record.child,
        actor=record.actor,
        parent=record.frame,
        key=record.key,
        opened=n,
        input=record.input,
    )


def _returned(state: RunState, record: Returned, n: int, envelope: Envelope) -> None:
    del envelope
    child = state.frames.get(record.frame)
    if child is None or child.done:
        return
    child.done = True
    if record.error is None:
        child.slots = {}
    child.steps = record.steps
    slot = state.slot(child.parent, child.key)
    if slot is not None and not slot.settled:
        slot.settled = slot.owner = n
        slot.result, slot.error = record.result, record.error


def _asked(state: RunState, record: Asked, n: int, envelope: Envelope) -> None:
    del n
    slot = _slot(state, record.frame, record.key, "ask")
    if slot is None or slot.ref or record.id in state.questions:
        return
    slot.ref = record.id
    state.questions[record.id] = Question(
        **fields_of(record),
        frame=record.frame,
        key=record.key,
        asked_at=envelope.at,
        deadline=record.deadline,
        stops=record.stops,
        about=record.about,
    )
    state.waits += 1


def _proposed(state: RunState, record: Proposed, n: int, envelope: Envelope) -> None:
    _asked(state, record, n, envelope)
    state.form = max(state.form, FORM_WITH_VOTES)


def _addressed(state: RunState, record: Addressed, n: int, envelope: Envelope) -> None:
    _asked(state, record, n, envelope)
    state.form = max(state.form, FORM_WITH_ONLY)


def _slept(state: RunState, record: Slept, n: int, envelope: Envelope) -> None:
    del n, envelope
    slot = _slot(state, record.frame, record.key, "sleep")
    if slot is None or slot.wake_at:
        return
    slot.wake_at = record.until
    state.waits += 1


def _woken(state: RunState, record: Woken, n: int, envelope: Envelope) -> None:
    del envelope
    slot = state.slot(record.frame, record.key)
    if slot is None or slot.settled or not slot.wake_at:
        return
    slot.wake_at = 0.0
    state.waits -= 1
    if slot.kind == "step":
        slot.woken = n
    else:
        slot.settled = slot.owner = n


def _awaited(state: RunState, record: Awaited, n: int, envelope: Envelope) -> None:
    del n, envelope
    slot = _slot(state, record.frame, record.key, "event")
    if slot is None or slot.ref:
        return
    slot.ref, slot.match = record.subject, record.match
    slot.before = len(state.consumed.get(record.subject, ()))
    slot.wake_at = record.until or NEVER
    state.waits += 1


def _arrived(state: RunState, record: Arrived, n: int, envelope: Envelope) -> None:
    del envelope
    slot = state.slot(record.frame, record.key)
    if slot is None or slot.kind != "event" or slot.settled:
        return
    slot.settled = slot.owner = n
    slot.wake_at = 0.0
    slot.result, slot.seq = record.event, record.seq
    state.waits -= 1
    state.consume(slot)


def _spawned(state: RunState, record: Spawned, n: int, envelope: Envelope) -> None:
    del n, envelope
    slot = _slot(state, record.frame, record.key, "child")
    if slot is None or slot.ref:
        return
    slot.ref, slot.detached = record.run, record.detached
    state.waits += 1


def _joined(state: RunState, record: Joined, n: int, envelope: Envelope) -> None:
    del envelope
    slot = state.slot(record.frame, record.key)
    if slot is None or slot.settled:
        return
    slot.settled = slot.owner = n
    slot.result, slot.error = record.result, record.error
    state.waits -= 1


def _withdrawn(state: RunState, record: Withdrawn, n: int, envelope: Envelope) -> None:
    slot = state.slot(record.frame, record.key)
    if slot is None or slot.settled:
        return
    question = state.questions.get(slot.ref) if slot.kind == "ask" else None
    if question is not None:
        question.status, question.at = "cancelled", envelope.at
    if slot.kind != "call" and (slot.ref or slot.wake_at):
        state.waits -= 1
    slot.settled, slot.owner, slot.dropped = n, envelope.cause, True
    slot.wake_at = 0.0
    child = state.frames.get(slot.ref) if slot.kind == "call" else None
    if child is not None:
        child.done = True


def _claimed(state: RunState, record: Claimed, n: int, envelope: Envelope) -> None:
    del n, envelope
    state.claimed = max(state.claimed, record.at)


def _removed(state: RunState, record: Removed, n: int, envelope: Envelope) -> None:
    del record, n, envelope
    state.removed = state.ended


def _cancelled(state: RunState, record: Cancelled, n: int, envelope: Envelope) -> None:
    del n
    state.abandoned_by = record.parent
    repairs.note_command(state, record)
    _end(state, CANCELLED, NULL, record.reason or "cancelled", envelope.at)


def _ended(state: RunState, record: Ended, n: int, envelope: Envelope) -> None:
    del n
    if state.frames:
        state.root.steps = record.steps
    state.failure = record.failure
    _end(state, record.status, record.result, record.error, envelope.at)


def _end(state: RunState, status: str, result: Raw, error: str, at: float) -> None:
    state.status, state.result, state.error = status, result, error
    state.waits = 0
    for question in state.questions.values():
        if question.status == OPEN:
            question.status, question.at = "cancelled", at


def _slot(state: RunState, frame: str, key: str, kind: str) -> Slot | None:
    """The slot of `key`, made when it is new; None when its frame is over."""
    found = state.frames.get(frame)
    if found is None or found.done:
        return None
    slot = found.slots.get(key)
    if slot is None:
        slot = found.slots[key] = Slot(kind=kind)
    return slot if slot.kind == kind else None


_FOLDS: dict[type[Record], Callable[[RunState, Any, int, Envelope], None]] = {
    Started: _started,
    Stepped: _stepped,
    Failed: _failed,
    Called: _called,
    Returned: _returned,
    Asked: _asked,
    Proposed: _proposed,
    Addressed: _addressed,
    Slept: _slept,
    Woken: _woken,
    Awaited: _awaited,
    Arrived: _arrived,
    Spawned: _spawned,
    Joined: _joined,
    Withdrawn: _withdrawn,
    Cancelled: _cancelled,
    Claimed: _claimed,
    Removed: _removed,
    Ended: _ended,
    **act_fold.FOLDS,
    **ask_back_fold.FOLDS,
    **ladder_fold.FOLDS,
    **card_fold.FOLDS,
    **opened_fold.FOLDS,
    **closing.FOLDS,
    **repairs.FOLDS,
}
