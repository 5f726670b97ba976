"""What people and scripts see of runs, questions and answers: the JSON of the CLI and of `Client`.

The field names are the JSON keys and a stable contract: fields may be added, never renamed. All
times are ISO 8601 in UTC (`2026-03-01T09:30:00.123Z`), so they sort as text.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .runtime.call import Call

RunStatus = Literal[
    "running",
    "waiting",
    "blocked",
    "completed",
    "failed",
    "timed_out",
    "max_turns",
    "budget_spent",
    "cancelled",
    "erased",
]
"""`waiting` is parked: it waits for a person, a timer or a child and holds no worker. `blocked` is
parked too: it goes on once people have mended what it failed of. `erased`: its key was
destroyed before it had ended."""

Outcome = Literal[
    "accepted", "invalid", "ambiguous", "too_late", "already_answered", "unknown_ticket"
]
"""What became of an answer."""

Level = Literal["ok", "warn", "error"]
"""How bad a finding of `doctor` is."""


class RunRow(msgspec.Struct, kw_only=True, frozen=True):
    """One run, as `layby runs` lists it.

    Attributes:
        id: The run's id.
        workflow: The workflow it runs.
        ticket: The ticket (the event's key) as the help desk spells it.
        status: Where it stands.
        started_at: When its event was accepted.
        updated_at: When its log grew last.
        needs: What people can do for a run that is blocked; empty for all others.
        reason: Why it did not complete, with the error's type and place, on one line; empty while
            it may.
        parent: The run that started it and waits for it; None when an event did.
    """

    id: str
    workflow: str
    ticket: str
    status: RunStatus
    started_at: str
    updated_at: str
    needs: str = ""
    reason: str = ""
    parent: str | None = None


class StepRow(msgspec.Struct, kw_only=True, frozen=True):
    """One line of a run's history, as `layby show` prints it.

    Attributes:
        n: Position of the entry in the run's log.
        at: When it was recorded.
        kind: What it is, in the words of `TimelineLine.kind`.
        name: What it is about: a step, a tool, an agent, a question.
        detail: One human line more.
        actor: Who did it.
        seconds: How long it took; None where that means nothing.
    """

    n: int
    at: str
    kind: str
    name: str
    detail: str = ""
    actor: str = ""
    seconds: float | None = None


class PlaceRow(msgspec.Struct, kw_only=True, frozen=True):
    """A line of user code.

    Attributes:
        file: The file as the app imports it, `shop/app.py`.
        line: The line's number.
        function: The function it is in.
    """

    file: str
    line: int
    function: str


class FailureRow(msgspec.Struct, kw_only=True, frozen=True):
    """An exception that ended a run, without values of variables.

    Attributes:
        type: The name of its class.
        message: What it says.
        place: The innermost line of user code in its traceback; None where there is none.
        causes: The classes of the exceptions that led to it, the nearest first.
    """

    type: str
    message: str
    place: PlaceRow | None = None
    causes: list[str] = []


class RunDetail(RunRow, kw_only=True, frozen=True):
    """One run with its outcome and history.

    Attributes:
        result: What the workflow returned; None until it completed.
        error: Why it did not complete; None while it may.
        failure: The exception that ended it; None where no exception did.
        steps: Its history, oldest first.
        children: The runs that it started with `step.workflow`, in their order.
        questions: What people are being asked right now.
    """

    result: Any = None
    error: str | None = None
    failure: FailureRow | None = None
    steps: list[StepRow] = []
    children: list[RunRow] = []
    questions: list[QuestionRow] = []


class QuestionRow(msgspec.Struct, kw_only=True, frozen=True):
    """An open question to a person.

    Attributes:
        id: The question's id; an answer may name it.
        ticket: The ticket it belongs to: the address of an answer.
        role: Who is asked, `developer` by default.
        question: The question itself.
        context: What the asker thinks a person needs to know.
        agent: Who asks.
        run: The run that waits.
        asked_at: When it was asked.
        deadline: When the run goes on without an answer.
        digest: Of the call that is to be approved; empty when no call is.
        form: The JSON Schema that an answer must satisfy; None: any text.
        answer_with: Shell commands that answer exactly this question.
        accept: Who must vouch for whoever answers: `nats`, `signature` or `none`; empty: nobody.
        call: The call to approve with its exact arguments, where the answer is to be signed.
        sha256: Of all that is asked, where the answer is to be signed.
        status: open; of a ticket's questions also answered, expired or cancelled.
    """

    id: str
    ticket: str
    role: str
    question: str
    context: str
    agent: str
    run: str
    asked_at: str
    deadline: str
    digest: str = ""
    form: dict[str, Any] | None = None
    answer_with: list[str] = []
    accept: list[str] = []
    call: Call | None = None
    sha256: str = ""
    status: str = "open"


class Candidate(msgspec.Struct, kw_only=True, frozen=True):
    """A question that an ambiguous answer may be for.

    Attributes:
        id: The question's id, which an answer may name.
        question: Its first line.
        run: The run that waits.
        deadline: When the run goes on without an answer.
        answer_with: Shell commands that answer exactly this question.
    """

    id: str
    question: str
    run: str
    deadline: str
    answer_with: list[str] = []


class Receipt(msgspec.Struct, kw_only=True, frozen=True):
    """What became of an answer.

    Attributes:
        outcome: Only `accepted` means that the run goes on with it.
        ticket: The ticket that the answer was sent to.
        question: The question it was taken for; None when there was none.
        reason: Why it was not accepted; None when it was.
        by: Who gave this answer or, when it is too late, the one that won.
        at: When the receipt was written.
        seq: Stream sequence of the answer it is about.
        candidates: Of an ambiguous answer: the questions that it may be for.
    """

    outcome: Outcome
    ticket: str
    question: str | None = None
    reason: str | None = None
    by: str | None = None
    at: str = ""
    seq: int = 0
    candidates: list[Candidate] = []


class Sent(msgspec.Struct, kw_only=True, frozen=True):
    """An event that JetStream has stored.

    Attributes:
        stream: The stream that holds it.
        seq: Its sequence there.
        duplicate: True when an event with this id had been stored before; nothing new starts.
    """

    stream: str
    seq: int
    duplicate: bool = False


class StartedRow(msgspec.Struct, kw_only=True, frozen=True):
    """A run that an event has started.

    Attributes:
        id: The run's id.
        workflow: The workflow it runs.
    """

    id: str
    workflow: str


class Dispatched(Sent, kw_only=True, frozen=True):
    """An event that JetStream has stored, and who takes it.

    Attributes:
        event_id: Its id; sent again under it, it starts nothing new.
        workflows: The workflows that its subject starts, as their mailboxes are called.
        awaited: Whether runs may wait for events on its subject.
        worker: Whether a worker of one of these workflows was up.
        runs: The runs that it was seen to start.
        refused: Why it can start none: the reasons of its dead letters.
        told: Whether this user may see who takes it; if not, nothing above but its id is known.
        elsewhere: Whether only apps of another prefix take it, whose runs are not seen from here.
    """

    event_id: str
    workflows: list[str] = []
    awaited: bool = False
    worker: bool = False
    runs: list[StartedRow] = []
    refused: list[str] = []
    told: bool = True
    elsewhere: bool = False


class Finding(msgspec.Struct, kw_only=True, frozen=True):
    """One thing `doctor` looked at.

    Attributes:
        level: How bad it is.
        subject: What was looked at.
        message: What was found.
        advice: What to do about it; empty when nothing.
    """

    level: Level
    subject: str
    message: str
    advice: str = ""


class DeadRow(msgspec.Struct, kw_only=True, frozen=True):
    """A message that no worker could handle.

    Attributes:
        id: Its number; `layby dead retry` takes it.
        at: When the message was published.
        subject: Where it was published.
        reason: Why it could not be handled.
        mailbox: The consumer that gave it up.
        size: Bytes of its payload.
        body: The payload as text, cut after 64 KiB.
    """

    id: int
    at: str
    subject: str
    reason: str
    mailbox: str
    size: int
    body: str


class Purged(msgspec.Struct, kw_only=True, frozen=True):
    """What `layby purge` removed.

    Attributes:
        runs: How many ended runs.
        messages: How many messages of their logs.
        again: A worker died in the middle of it: what it had removed by then is not counted.
    """

    runs: int
    messages: int
    again: bool = False


class Retried(msgspec.Struct, kw_only=True, frozen=True):
    """What `layby retry --all` took up again.

    Attributes:
        retried: How many runs.
        refused: Why others were not, by run; at most 100 of them.
        count: How many runs were tried in all.
        again: It was begun before, maybe: what a worker had done that died with it is not counted.
    """

    retried: int
    refused: dict[str, str] = {}
    count: int = 0
    again: bool = False


class AuditRow(msgspec.Struct, kw_only=True, frozen=True):
    """A command of a person, and what came of it.

    Attributes:
        id: Its number in the trail.
        at: When it was stored.
        by: Who commanded it: the server's word, where permissions give each their own name only.
        verb: `cancel`, `retry`, `purge`, `erase`, `dead-retry` or `dead-drop`.
        what: What it is about, in a few words.
        run: The run's id, where it names one.
        why: The reason that was given.
        asked_at: When the person asked, by the clock of their machine.
        command: The command as it was sent.
        outcome: `done`, `refused`, `failed` or `invalid`; `waiting` while no worker has done it.
        reason: Why it was not done.
        done_at: When that was stored; None while it waits.
        again: It was begun before, maybe: what a worker had done that died with it is not in
            `result`.
        result: What was done.
    """

    id: int
    at: str
    by: str
    verb: str
    what: str
    run: str = ""
    why: str = ""
    asked_at: str = ""
    command: dict[str, Any] = {}
    outcome: str
    reason: str = ""
    done_at: str | None = None
    again: bool = False
    result: dict[str, Any] = {}


class TimelineLine(msgspec.Struct, kw_only=True, frozen=True):
    """One thing that happened in a run, told to a person while it happens.

    Attributes:
        at: When it happened.
        run: The run it happened in.
        ticket: The run's ticket.
        kind: What happened, a stable word such as `tool.called` or `question.asked`.
        actor: Who did it.
        title: What happened, in a few words.
        detail: One human line more.
        data: The facts a program needs, by kind (`question.asked`: id, deadline, role, question,
            context; `question.answered`: text, by; `run.ended`: status, result, error).
    """

    at: str
    run: str
    ticket: str
    kind: str
    actor: str = ""
    title: str = ""
    detail: str = ""
    data: dict[str, Any] = {}
