"""Runs, questions and answers as people and scripts see them: the JSON of the CLI and of `Client`.

Field names are a stable contract: fields may be added, never renamed. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..runtime.status import RunStatus
from .question_row import QuestionRow

Level = Literal["ok", "warn", "error"]
"""How bad a finding of `doctor` is."""


class RunRow(msgspec.Struct, kw_only=True, frozen=True):
    """One run, as `layby runs` lists it.

    Attributes:
        id: The run's id.
        workflow: The workflow it runs.
        ticket: The ticket (the event's key) as the help desk spells it.
        status: Its status.
        started_at: When its event was accepted.
        updated_at: When its log last grew.
        needs: What people can do for a blocked run; empty for all others.
        reason: Why it did not complete, with type and place, on one line; empty while it still may.
        parent: The run that started it and waits for it; None if an event started it.
        title: What it is about, if its workflow declares a title.
        labels: What its workflow declares as labels, by name.
        roles: The roles of people that it waits for.
        question: The beginning of its first open question.
        waits: What it waits for: `people`, `retry`, `sleep`, `event` or `child`; empty if nothing.
        until: When that is over by itself; None if never.
        asked_at: When its first open question was asked; None if none is open.
        deadline: When that question is over.
        ended_at: When it ended; None while it has not.
        input_tokens: Tokens that its models have read.
        output_tokens: Tokens that its models have written.
        cost: What these cost in US dollars; None if a price is unknown: see `App(prices=...)`.
        trace: The id of its trace, 32 hex digits; empty if it was not traced.
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
    title: str = ""
    labels: dict[str, str] = {}
    roles: list[str] = []
    question: str = ""
    waits: str = ""
    until: str | None = None
    asked_at: str | None = None
    deadline: str | None = None
    ended_at: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    trace: str = ""


class StepRow(msgspec.Struct, kw_only=True, frozen=True):
    """One line of a run's history, as `layby show` prints it.

    Attributes:
        n: Position of the entry in the run's log.
        at: When it was recorded.
        kind: What it is, in the words of `TimelineLine.kind`.
        name: What it is about: a step, a tool, an agent, a question.
        detail: One more line for people.
        actor: Who did it.
        seconds: How long it took; None if that has no meaning.
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
        place: The innermost line of user code in its traceback; None if there is none.
        causes: The classes of the exceptions that led to it, nearest first.
    """

    type: str
    message: str
    place: PlaceRow | None = None
    causes: list[str] = []


class RunDetail(RunRow, kw_only=True, frozen=True):
    """One run with its outcome and history.

    Attributes:
        result: What the workflow returned; None until it completed.
        error: Why it did not complete; None while it still may.
        failure: The exception that ended it; None if no exception did.
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


class Sent(msgspec.Struct, kw_only=True, frozen=True):
    """An event that JetStream has stored.

    Attributes:
        stream: The stream that holds it.
        seq: Its sequence there.
        duplicate: Whether an event with this id was stored before; then nothing new starts.
        run: The run that a retried dead letter started; empty if unknown.
    """

    stream: str
    seq: int
    duplicate: bool = False
    run: str = ""


class StartedRow(msgspec.Struct, kw_only=True, frozen=True):
    """A run that an event started.

    Attributes:
        id: The run's id.
        workflow: The workflow it runs.
    """

    id: str
    workflow: str


class Dispatched(Sent, kw_only=True, frozen=True):
    """An event that JetStream has stored, and who handles it.

    Attributes:
        event_id: Its id; sent again with it, it starts nothing new.
        workflows: The workflows that its subject starts. One that no app has declared yet is named
            as its mailbox is, without `_` and capitals.
        awaited: Whether runs may wait for events on its subject.
        worker: Whether a worker of one of these workflows was running.
        runs: The runs that it was seen to start.
        refused: Why it cannot start one: the reasons of its dead letters.
        told: Whether this user may see who handles it; if not, only its id above is known.
        elsewhere: Whether only apps with another prefix handle it, whose runs are not visible here.
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
    """One finding of `doctor`.

    Attributes:
        level: How bad it is.
        subject: What was checked.
        message: What was found.
        advice: What to do about it; empty if nothing.
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
        mailbox: The consumer that gave up on it.
        size: Bytes of its payload.
        body: The payload as text, cut at 64 KiB.
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
        again: A worker died midway: what it had removed by then is not counted.
    """

    runs: int
    messages: int
    again: bool = False


class Retried(msgspec.Struct, kw_only=True, frozen=True):
    """What `layby retry --all` retried.

    Attributes:
        retried: How many runs.
        refused: Why others were not, by run; at most 100 of them.
        count: How many runs were tried in all.
        again: It may have been started before: what a worker that died had done is not counted.
    """

    retried: int
    refused: dict[str, str] = {}
    count: int = 0
    again: bool = False


class AuditRow(msgspec.Struct, kw_only=True, frozen=True):
    """A command of a person and its outcome.

    Attributes:
        id: Its number in the audit trail.
        at: When it was stored.
        by: Who sent it; certain if the server's permissions hold each user to their own name.
        verb: `cancel`, `retry`, `purge`, `erase`, `dead-retry`, `dead-drop` or `rota`.
        what: What it is about, in a few words.
        run: The run's id, if it names one.
        why: The reason that was given.
        asked_at: When the person asked, by the clock of their machine.
        command: The command as it was sent.
        outcome: `done`, `refused`, `failed` or `invalid`; `waiting` until a worker has handled it.
        reason: Why it was not done.
        done_at: When the outcome was stored; None while it waits.
        again: It may have been started before: `result` lacks what a worker that died had done.
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
    """One thing that happened in a run, as a line for people.

    Attributes:
        at: When it happened.
        run: The run it happened in.
        ticket: The run's ticket.
        kind: What happened: a stable word such as `tool.called` or `question.asked`.
        actor: Who did it.
        title: What happened, in a few words.
        detail: One more line for people.
        data: The facts a program needs, by kind (`question.answered`: text, by).
    """

    at: str
    run: str
    ticket: str
    kind: str
    actor: str = ""
    title: str = ""
    detail: str = ""
    data: dict[str, Any] = {}


__all__ = [
    "AuditRow",
    "DeadRow",
    "Dispatched",
    "FailureRow",
    "Finding",
    "Level",
    "PlaceRow",
    "Purged",
    "QuestionRow",
    "Retried",
    "RunDetail",
    "RunRow",
    "Sent",
    "StartedRow",
    "StepRow",
    "TimelineLine",
]
