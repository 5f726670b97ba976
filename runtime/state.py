"""What the log says of a run: the state that `journal.fold` makes of its messages.

*Who may continue.* Several mails of one run may be handled at the same time (two answers, two
agents), so each settled thing has an **owner**: the position whose handler may continue from it.
Mail owns itself; a record written while handling mail m is owned by m. A strand of work that has
consumed several things belongs to the owner of the last of them, in log order. Because the log is a
total order, exactly one handler may continue from any point.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from .acts import Act
from .ask_backs import AskBack
from .call import Call
from .cards import SentCard
from .entry import NULL, ROOT, Failure, Origin, Raw, Voted
from .ladder import NO_LADDER, Ladder
from .opened_records import OpenedQuestion
from .quorum import Quorum, roles_of
from .sent import Sent
from .spent import Spent
from .status import RunStatus
from .trace_context import Traced

OPEN = "open"
ANSWERED = "answered"
NO_QUORUM = "no_quorum"
"""A question that people decided, or that they can no longer agree on."""
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
"""Its key was destroyed, so nobody can continue or read it; only its row says so, not its log."""
FORM = 3
"""Version of a folded state. A parked state of another version is folded again from its log."""
FORM_WITH_VOTES = 4
"""The same for a run that asked several people to decide, which earlier releases cannot read."""
FORM_WITH_ACTS = 5
"""The same for a run to one of whose questions people said something besides an answer."""
FORM_WITH_CARDS = 6
"""The same for a run whose questions were shown on channels."""
FORM_WITH_ONLY = 7
"""The same for a run that has asked a question that only one person may answer."""
FORM_WITH_ASK_BACKS = 8
"""The same for a run to one of whose questions people asked something back."""
FORM_WITH_OPENED = 9
"""The same for a run whose log says who has looked at its questions."""
FORMS = frozenset(range(FORM, FORM_WITH_OPENED + 1))
NEVER = 1e12
"""A deadline that never comes, Unix seconds."""
STATUSES: tuple[str, ...] = get_args(RunStatus)
UNENDED = frozenset({RUNNING, WAITING, BLOCKED})
RETRYABLE = frozenset({FAILED, TIMED_OUT, MAX_TURNS, BUDGET_SPENT})
"""Statuses of ended runs that can be reopened."""


class Slot(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One key of a frame: a step, a call, a question, a sleep."""

    kind: str
    settled: int = 0
    """Position of the record that settled it; 0 while it is open."""
    place: int = 0
    """The index of a step's record within the message at that position, from 0."""
    owner: int = 0
    """The mail whose handler may continue from it."""
    result: Raw = NULL
    error: Failure | None = None
    ref: str = ""
    """The id of the question, or of the child frame."""
    attempts: int = 0
    """Failed attempts so far."""
    wake_at: float = 0.0
    """When an open sleep or back-off is over, Unix seconds."""
    woken: int = 0
    """Position of the mail that ended the last back-off, or that causes the step to run again."""
    match: dict[str, Any] = {}
    """For an awaited event: the fields and their values."""
    seq: int = 0
    """For an event that has arrived: its sequence in its stream."""
    before: int = 0
    """For an awaited event: how many events of its subject the run had consumed before."""
    dropped: bool = False
    """Withdrawn: nobody waits for it now."""
    detached: bool = False
    """For a child: it continues when nobody waits for it."""

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
    """For a frame that failed: the keys whose failures ended it."""
    reopened: int = 0
    """Position of the mail that reopened it, and that owns everything in it up to then."""
    resumed: int = 0
    """Position of the mail that wakes it for that; 0 until it is appended."""
    loose: list[str] = []
    """Recorded keys that its body no longer has to reach."""
    again: dict[str, int] = {}
    """How often the question of a key was asked again."""
    inputs: dict[str, Raw] = {}
    """By step key: what people have put in place of its input."""
    rounds: int = 0
    """How often what failed in it was retried by people."""
    traced: Traced | None = None
    """The spans that it belongs to; None: it is not traced."""


class Block(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A mail that cannot be handled until people fix something."""

    frame: str
    key: str = ""
    kind: str
    reason: str
    needs: str
    since: float
    """Unix seconds."""
    tried: list[str] = []
    """Fingerprints of the workers that failed, since the mail last made progress."""
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
    """The digest of the call to approve; empty if there is none."""
    asked_at: float = 0.0
    deadline: float = 0.0
    status: str = OPEN
    """open, answered, expired, cancelled, or no_quorum."""
    text: str = ""
    by: str = ""
    at: float = 0.0
    seq: int = 0
    accept: list[str] = []
    """Who must vouch for the person who answers; empty: nobody."""
    call: Call | None = None
    """What is to be approved, when the answer must be signed."""
    vouched: str = ""
    """Who vouches for `by`: `nats`, `signature` or `none`; empty in older logs."""
    signature: str = ""
    """For a signed answer: the header `Layby-Signature`."""
    doubt: str = ""
    """Why a signed answer in the log does not count, if the only reason is its key."""
    retried: int = 0
    """Position at which its answer caused a retry."""
    confidential: bool = False
    """Whether what it says is encrypted wherever it is shown."""
    quorum: Quorum | None = None
    """What it takes to decide it; None: one answer."""
    votes: list[Voted] = []
    """Those that count, in the order of the stream of answers."""
    only: str = ""
    """The one person who may answer it; empty: anybody who may answer for the role."""
    stops: bool = False
    """Whether its clock stops while something that was asked back has no reply."""
    stopped_at: float = 0.0
    """Since when its clock is stopped, Unix seconds; 0: it runs."""
    lent: float = 0.0
    """While it is stopped: the seconds by which the deadline has been put off for that."""
    stood: float = 0.0
    """Seconds for which it was stopped before."""
    about: str = ""
    """For a request for a reply: the question that it is about."""


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
    title: str = ""
    labels: dict[str, str] = {}
    status: str = RUNNING
    result: Raw = NULL
    error: str = ""
    failure: Failure | None = None
    """The failure that `error` is the message of, when an exception ended the run."""
    started_at: float = 0.0
    updated_at: float = 0.0
    frames: dict[str, Frame] = {}
    questions: dict[str, Question] = {}
    ladders: dict[str, Ladder] = {}
    """The ladders of the questions that have one, by the questions' ids."""
    acts: dict[str, list[Act]] = {}
    """What people said to questions besides answering, by the questions' ids."""
    asked_back: dict[str, list[AskBack]] = {}
    """What people asked back about questions, by the questions' ids."""
    opened: dict[str, list[OpenedQuestion]] = {}
    """Who said that they looked at questions, by the questions' ids; see `openings`."""
    cards: dict[str, list[SentCard]] = {}
    """The cards of the questions that were shown on channels, by the questions' ids."""
    asking_since: float = 0.0
    """Since when, without a break, a question is open or the run is blocked; 0: it is not."""
    people_took: float = 0.0
    """Seconds of such times that are over."""
    abandoned_by: str = ""
    """The parent that cancelled it."""
    waits: int = 0
    """Open questions, sleeps, back-offs, awaited events and child runs."""
    blocks: dict[int, Block] = {}
    """Mails that were blocked, by their positions."""
    reopened: int = 0
    """Position at which it was last reopened; handlers of earlier mails are fenced."""
    origins: list[str] = []
    """For a child: for which reopenings of its parent it was reopened."""
    commands: list[str] = []
    """The ids of the commands that cancelled or reopened it."""
    asked_again: int = 0
    """Questions that were asked in place of others."""
    consumed: dict[str, list[int]] = {}
    """By subject: the sequences of the events that the run consumed, in that order."""
    claimed: int = 0
    """For a child: the position at which its parent was last reopened and began to wait again."""
    removed: bool = False
    """Whether it is being removed."""
    sent: list[Sent] = []
    """What its steps have sent outside, in order, without the parts themselves."""
    spent: Spent = Spent()
    """What its models have used so far."""
    newer: int = 0
    """The first position that a later release wrote and this one cannot read; 0: none."""
    form: int = 0
    """The version of this state, by what the run's log holds; see `FORM`."""

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
        """Seconds since the run began, without the time that people took for answers and fixes."""
        asking = now - self.asking_since if self.asking_since else 0.0
        return now - self.started_at - self.people_took - asking

    def open_questions(self) -> list[Question]:
        """What people are being asked, oldest first."""
        return [q for q in self.questions.values() if q.status == OPEN]

    def roles_of(self, question: Question) -> tuple[str, ...]:
        """The roles that may answer a question: those asked, and those it was escalated to."""
        escalated = self.ladders.get(question.id, NO_LADDER).roles
        return tuple(dict.fromkeys((*roles_of(question), *escalated)))

    def abandoned(self) -> list[str]:
        """Children that nobody waits for now and that are not detached."""
        return [
            slot.ref
            for frame in self.frames.values()
            for slot in frame.slots.values()
            if slot.kind == "child" and slot.ref and not slot.detached
            if slot.dropped or (self.ended and not slot.settled)
        ]

    def children(self) -> list[str]:
        """The runs that it started and waited for, in the order of its frames."""
        return [
            slot.ref
            for frame in self.frames.values()
            for slot in frame.slots.values()
            if slot.kind == "child" and slot.ref
        ]

    def consumed_before(self, wait: Slot) -> frozenset[int]:
        """Sequences of the events consumed before `wait` began, which it therefore does not get."""
        return frozenset(self.consumed.get(wait.ref, ())[: wait.before])

    def may_receive(self, wait: Slot, seq: int) -> bool:
        """Whether `wait` may get the event `seq`."""
        return wait.kind == "event" and not wait.settled and seq not in self.consumed_before(wait)

    def consume(self, wait: Slot) -> None:
        """Note the event that `wait` got; a sequence of 0 is unknown."""
        consumed = self.consumed.setdefault(wait.ref, [])
        if wait.seq and wait.seq not in consumed[wait.before :]:
            consumed.append(wait.seq)

    def slot(self, frame: str, key: str) -> Slot | None:
        """What is known of `key` in `frame`."""
        found = self.frames.get(frame)
        return found.slots.get(key) if found else None
