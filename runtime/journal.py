"""The fold: what a run's log says, as a pure function of its messages.

Nothing here awaits, reads a clock or draws a random number: two workers that have read the same
log hold the same state.

*Who may go on.* Several mails of one run may be handled at once (two answers, two agents), so
each settled thing has an **owner**: the position whose handler may continue from it. Mail owns
itself; a record written while handling mail m is owned by m. A strand of work that has consumed
several things belongs to the owner of the last of them, in log order. As the log is a total
order, exactly one handler goes on from any point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .entry import (
    NULL,
    ROOT,
    Answered,
    Arrived,
    Asked,
    Awaited,
    Called,
    Cancelled,
    Ended,
    Envelope,
    Expired,
    Failed,
    Failure,
    Joined,
    Origin,
    Raw,
    Record,
    Returned,
    Slept,
    Spawned,
    Started,
    Stepped,
    Withdrawn,
    Woken,
)

OPEN = "open"
RUNNING = "running"
WAITING = "waiting"
COMPLETED = "completed"
FAILED = "failed"
TIMED_OUT = "timed_out"
MAX_TURNS = "max_turns"
CANCELLED = "cancelled"
NEVER = 1e12
"""A deadline that does not come, Unix seconds."""
STATUSES = (RUNNING, WAITING, COMPLETED, FAILED, TIMED_OUT, MAX_TURNS, CANCELLED)


class Slot(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One key of a frame: a step, a call, a question, a sleep."""

    kind: str
    settled: int = 0
    """Position of the record that settled it; 0 while it is open."""
    owner: int = 0
    """The mail whose handler may go on from it."""
    result: Raw = NULL
    error: Failure | None = None
    ref: str = ""
    """The id of the question, or of the child frame."""
    attempts: int = 0
    """Failed attempts so far."""
    wake_at: float = 0.0
    """When an open sleep or back-off is over, Unix seconds."""
    woken: int = 0
    """Position of the mail that ended the last back-off."""
    match: dict[str, Any] = {}
    """Of an awaited event: the fields and their values."""
    dropped: bool = False
    """Withdrawn: nobody waits for it any more."""


class Frame(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One body of code that the run has entered: workflow, network or turn."""

    id: str
    actor: str
    parent: str = ""
    key: str = ""
    """The parent's key that this frame settles."""
    opened: int = 0
    """Position of the mail that opened it."""
    input: Raw = NULL
    """What it was called with; of the root frame, see the run's `event`."""
    done: bool = False
    slots: dict[str, Slot] = {}


class Question(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A question to a person, open or closed. Closes once."""

    id: str
    frame: str
    key: str
    role: str
    question: str
    context: str = ""
    agent: str = ""
    form: dict[str, Any] | None = None
    asked_at: float = 0.0
    deadline: float = 0.0
    status: str = OPEN
    """open, answered, expired or cancelled."""
    text: str = ""
    by: str = ""
    at: float = 0.0
    seq: int = 0


class RunState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything the log says about a run."""

    id: str
    tail: int = 0
    """The last position folded."""
    workflow: str = ""
    version: str = ""
    ticket: str = ""
    event: Raw = NULL
    parent: Origin | None = None
    status: str = RUNNING
    result: Raw = NULL
    error: str = ""
    started_at: float = 0.0
    updated_at: float = 0.0
    frames: dict[str, Frame] = {}
    questions: dict[str, Question] = {}
    asking_since: float = 0.0
    """Since when people are being asked without a break; 0 while nobody is."""
    people_took: float = 0.0
    """Seconds for which people were being asked, up to the last answer."""
    waits: int = 0
    """Open questions, sleeps, back-offs, awaited events and child runs."""

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.status not in {RUNNING, WAITING}

    @property
    def root(self) -> Frame:
        """The frame of the workflow function."""
        return self.frames[ROOT]

    def busy_for(self, now: float) -> float:
        """Seconds since the run began that people did not take."""
        asking = now - self.asking_since if self.asking_since else 0.0
        return now - self.started_at - self.people_took - asking

    def open_questions(self) -> list[Question]:
        """What people are being asked, oldest first."""
        return [q for q in self.questions.values() if q.status == OPEN]

    def slot(self, frame: str, key: str) -> Slot | None:
        """What is known of `key` in `frame`."""
        found = self.frames.get(frame)
        return found.slots.get(key) if found else None


def fold(state: RunState, n: int, envelope: Envelope) -> None:
    """Apply message `n`, which must be the next one, to `state`."""
    if n != state.tail + 1:
        raise ValueError(f"run {state.id}: position {n} cannot follow {state.tail}")
    state.tail = n
    state.updated_at = envelope.at
    for record in envelope.records:
        if not state.ended:
            _FOLDS[type(record)](state, record, n, envelope)
    if not state.ended:
        state.status = WAITING if state.waits else RUNNING
    _clock(state, envelope.at)


def _clock(state: RunState, at: float) -> None:
    """Keep account of the time that people take."""
    asking = any(question.status == OPEN for question in state.questions.values())
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
    state.started_at = envelope.at
    state.frames[ROOT] = Frame(id=ROOT, actor=record.actor, opened=n)


def _stepped(state: RunState, record: Stepped, n: int, envelope: Envelope) -> None:
    slot = _slot(state, record.frame, record.key, "step")
    if slot is None or slot.settled:
        return
    slot.settled, slot.owner = n, envelope.cause
    slot.result, slot.error = record.result, record.error


def _failed(state: RunState, record: Failed, n: int, envelope: Envelope) -> None:
    del n, envelope
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
    child.slots = {}
    slot = state.slot(child.parent, child.key)
    if slot is not None and not slot.settled:
        slot.settled = slot.owner = n
        slot.result, slot.error = record.result, record.error


def _asked(state: RunState, record: Asked, n: int, envelope: Envelope) -> None:
    del n
    slot = _slot(state, record.frame, record.key, "ask")
    if slot is None or slot.ref:
        return
    slot.ref = record.id
    state.questions[record.id] = Question(
        id=record.id,
        frame=record.frame,
        key=record.key,
        role=record.role,
        question=record.question,
        context=record.context,
        agent=record.agent,
        asked_at=envelope.at,
        deadline=record.deadline,
        form=record.form,
    )
    state.waits += 1


def _answered(state: RunState, record: Answered, n: int, envelope: Envelope) -> None:
    del envelope
    question = _close(state, record.id, "answered", n)
    if question is not None:
        question.text, question.by = record.text, record.by
        question.at, question.seq = record.at, record.seq


def _expired(state: RunState, record: Expired, n: int, envelope: Envelope) -> None:
    question = _close(state, record.id, "expired", n)
    if question is not None:
        question.at = envelope.at


def _close(state: RunState, question_id: str, status: str, n: int) -> Question | None:
    """Close a question that is open; the first to close it wins."""
    question = state.questions.get(question_id)
    if question is None or question.status != OPEN:
        return None
    question.status = status
    state.waits -= 1
    slot = state.slot(question.frame, question.key)
    if slot is not None:
        slot.settled = slot.owner = n
    return question


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
    slot.wake_at = record.until or NEVER
    state.waits += 1


def _arrived(state: RunState, record: Arrived, n: int, envelope: Envelope) -> None:
    del envelope
    slot = state.slot(record.frame, record.key)
    if slot is None or slot.settled:
        return
    slot.settled = slot.owner = n
    slot.wake_at = 0.0
    slot.result = record.event
    state.waits -= 1


def _spawned(state: RunState, record: Spawned, n: int, envelope: Envelope) -> None:
    del n, envelope
    slot = _slot(state, record.frame, record.key, "child")
    if slot is None or slot.ref:
        return
    slot.ref = record.run
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


def _cancelled(state: RunState, record: Cancelled, n: int, envelope: Envelope) -> None:
    del n
    _end(state, CANCELLED, NULL, record.reason or "cancelled", envelope.at)


def _ended(state: RunState, record: Ended, n: int, envelope: Envelope) -> None:
    del n
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
    Answered: _answered,
    Expired: _expired,
    Slept: _slept,
    Woken: _woken,
    Awaited: _awaited,
    Arrived: _arrived,
    Spawned: _spawned,
    Joined: _joined,
    Withdrawn: _withdrawn,
    Cancelled: _cancelled,
    Ended: _ended,
}


def clashes(state: RunState, record: Record) -> bool:
    """Whether `record` has lost: the log already holds what it would say, or says otherwise.

    The other half of the fence. A writer that finds its position taken folds what came between
    and asks this before it tries the next position.
    """
    return state.ended or _CLASHES[type(record)](state, record)


def _began(state: RunState, _: Record) -> bool:
    return bool(state.frames)


def _never(_: RunState, __: Record) -> bool:
    return False


def _is_settled(state: RunState, record: Stepped | Failed) -> bool:
    slot = state.slot(record.frame, record.key)
    taken = slot is not None and bool(slot.kind != "step" or slot.settled or slot.wake_at)
    return taken or _over(state, record.frame)


def _is_known(state: RunState, record: Called | Asked | Slept | Awaited | Spawned) -> bool:
    return state.slot(record.frame, record.key) is not None or _over(state, record.frame)


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
    Arrived: _is_done,
    Joined: _is_done,
    Withdrawn: _is_done,
    Cancelled: _never,
    Ended: _never,
}


def _over(state: RunState, frame: str) -> bool:
    found = state.frames.get(frame)
    return found is None or found.done
