"""What the log says of a run: the state that `journal.fold` makes of its messages.

*Who may go on.* Several mails of one run may be handled at once (two answers, two agents), so
each settled thing has an **owner**: the position whose handler may continue from it. Mail owns
itself; a record written while handling mail m is owned by m. A strand of work that has consumed
several things belongs to the owner of the last of them, in log order. As the log is a total
order, exactly one handler goes on from any point.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .call import Call
from .entry import NULL, ROOT, Failure, Origin, Raw

OPEN = "open"
RUNNING = "running"
WAITING = "waiting"
BLOCKED = "blocked"
COMPLETED = "completed"
FAILED = "failed"
TIMED_OUT = "timed_out"
MAX_TURNS = "max_turns"
BUDGET_SPENT = "budget_spent"
CANCELLED = "cancelled"
ERASED = "erased"
"""Its key was destroyed, so nobody can go on with it or read it; no log says so, but its row."""
FORM = 2
"""What a folded state holds. A parked one of another form is folded anew, from its log."""
NEVER = 1e12
"""A deadline that does not come, Unix seconds."""
STATUSES = (
    RUNNING,
    WAITING,
    BLOCKED,
    COMPLETED,
    FAILED,
    TIMED_OUT,
    MAX_TURNS,
    BUDGET_SPENT,
    CANCELLED,
    ERASED,
)
UNENDED = frozenset({RUNNING, WAITING, BLOCKED})
RETRYABLE = frozenset({FAILED, TIMED_OUT, MAX_TURNS, BUDGET_SPENT})
"""How a run has ended that can be reopened."""


class Slot(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One key of a frame: a step, a call, a question, a sleep."""

    kind: str
    settled: int = 0
    """Position of the record that settled it; 0 while it is open."""
    place: int = 0
    """Where in that position's message a step's record stands, from 0."""
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
    """Position of the mail that ended the last back-off, or that has it done again."""
    match: dict[str, Any] = {}
    """Of an awaited event: the fields and their values."""
    seq: int = 0
    """Of an event that has arrived: its sequence in its stream."""
    before: int = 0
    """Of an awaited event: how many events of its subject the run had consumed before."""
    dropped: bool = False
    """Withdrawn: nobody waits for it any more."""
    detached: bool = False
    """Of a child: it goes on when nobody waits for it any more."""

    @property
    def again(self) -> bool:
        """Whether it is to be asked or called as if for the first time."""
        return bool(self.woken) and not (self.settled or self.ref or self.wake_at)


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
    steps: list[str] = []
    """Of one that ended badly: the keys whose failures ended it."""
    reopened: int = 0
    """Position of the mail that has it entered again, and that owns all of it up to then."""
    resumed: int = 0
    """Position of the mail that wakes it for that; 0 until it is appended."""
    loose: list[str] = []
    """Recorded keys that its body need not reach any more."""
    again: dict[str, int] = {}
    """How often a question of a key is asked anew."""
    inputs: dict[str, Raw] = {}
    """By keys of steps: what people have put in the place of their input."""
    rounds: int = 0
    """How often what failed in it was done again."""


class Block(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A mail that could not be handled until people mend something."""

    frame: str
    key: str = ""
    kind: str
    reason: str
    needs: str
    since: float
    """Unix seconds."""
    tried: list[str] = []
    """Fingerprints of the workers that could not, since the mail last brought the run forward."""
    resumed: int = 0
    """Position of the mail that has it handled again; 0 while it is blocked."""
    command: str = ""
    """The id of the command that has it handled again, if one does."""


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
    digest: str = ""
    """Of the call that is to be approved; empty when no call is."""
    asked_at: float = 0.0
    deadline: float = 0.0
    status: str = OPEN
    """open, answered, expired or cancelled."""
    text: str = ""
    by: str = ""
    at: float = 0.0
    seq: int = 0
    accept: list[str] = []
    """Who must vouch for whoever answers; empty: nobody."""
    call: Call | None = None
    """What is to be approved, where the answer is to be signed."""
    vouched: str = ""
    """Who vouches for `by`: `nats`, `signature` or `none`; empty in older logs."""
    signature: str = ""
    """Of a signed answer: the header `Layby-Signature`."""
    doubt: str = ""
    """Why a signed answer in the log does not count whose key is none that counts."""
    retried: int = 0
    """Position at which its answer had a failure done again."""


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
    seq: int = 0
    """The sequence of the event that started it; 0: unknown."""
    on: str = ""
    """That event's subject; empty: unknown."""
    status: str = RUNNING
    result: Raw = NULL
    error: str = ""
    failure: Failure | None = None
    """What `error` is the message of, where an exception ended the run."""
    started_at: float = 0.0
    updated_at: float = 0.0
    frames: dict[str, Frame] = {}
    questions: dict[str, Question] = {}
    asking_since: float = 0.0
    """Since when people are asked, or the run is blocked, without a break; 0 while it is not."""
    people_took: float = 0.0
    """Seconds of such times that are over."""
    abandoned_by: str = ""
    """The parent because of which it was cancelled."""
    waits: int = 0
    """Open questions, sleeps, back-offs, awaited events and child runs."""
    blocks: dict[int, Block] = {}
    """Mails that were blocked, by their positions."""
    reopened: int = 0
    """Position at which it was last reopened; whatever handles an earlier mail is fenced."""
    origins: list[str] = []
    """Of a child: for which reopenings of its parent it was reopened."""
    commands: list[str] = []
    """The ids of the commands that it was cancelled or taken up again by."""
    asked_again: int = 0
    """Questions that were asked in the place of others."""
    consumed: dict[str, list[int]] = {}
    """By subject: the sequences of the events that the run was given, in that order."""
    claimed: int = 0
    """Of a child: the position at which its parent was last reopened, and waits for it since."""
    removed: bool = False
    """Whether it is being removed."""
    newer: int = 0
    """The first position that a later release wrote, and this one cannot read; 0: none."""
    form: int = 0
    """The `FORM` that was current when the run's log was folded from its start."""

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.status not in UNENDED

    @property
    def blocked(self) -> list[tuple[int, Block]]:
        """The mails that are blocked now, with their positions, oldest first."""
        if self.ended:
            return []
        return [each for each in self.blocks.items() if not each[1].resumed]

    @property
    def root(self) -> Frame:
        """The frame of the workflow function."""
        return self.frames[ROOT]

    def busy_for(self, now: float) -> float:
        """Seconds since the run began that people did not take, with answers or with mending."""
        asking = now - self.asking_since if self.asking_since else 0.0
        return now - self.started_at - self.people_took - asking

    def open_questions(self) -> list[Question]:
        """What people are being asked, oldest first."""
        return [q for q in self.questions.values() if q.status == OPEN]

    def abandoned(self) -> list[str]:
        """Children that nobody waits for any more, and that are not to go on without."""
        return [
            slot.ref
            for frame in self.frames.values()
            for slot in frame.slots.values()
            if slot.kind == "child" and slot.ref and not slot.detached
            if slot.dropped or (self.ended and not slot.settled)
        ]

    def children(self) -> list[str]:
        """The runs that it has started and waited for, in the order of the log's frames."""
        return [
            slot.ref
            for frame in self.frames.values()
            for slot in frame.slots.values()
            if slot.kind == "child" and slot.ref
        ]

    def spent(self, wait: Slot) -> frozenset[int]:
        """The sequences of the events that were consumed before `wait` began: not for it."""
        return frozenset(self.consumed.get(wait.ref, ())[: wait.before])

    def may_give(self, wait: Slot, seq: int) -> bool:
        """Whether the event `seq` may be what `wait` gets."""
        return wait.kind == "event" and not wait.settled and seq not in self.spent(wait)

    def consume(self, wait: Slot) -> None:
        """Take note of the event that `wait` has got; 0: its sequence is not known."""
        consumed = self.consumed.setdefault(wait.ref, [])
        if wait.seq and wait.seq not in consumed[wait.before :]:
            consumed.append(wait.seq)

    def slot(self, frame: str, key: str) -> Slot | None:
        """What is known of `key` in `frame`."""
        found = self.frames.get(frame)
        return found.slots.get(key) if found else None
