"""What requests and responses of the API hold, besides the rows in `layby.views.rows`.

The docstrings are the descriptions in the OpenAPI document. Fields may be added, never renamed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ...views.apps import AppRow
from ...views.rows import DeadRow, Finding, QuestionRow
from ...views.workers import WorkerRow
from ..catalogue.entries import AnswerRow, Progress

ShownStatus = Literal[
    "running",
    "waiting",
    "retrying",
    "sleeping",
    "blocked",
    "failed",
    "timed_out",
    "max_turns",
    "budget_spent",
    "completed",
    "cancelled",
    "erased",
]
"""A status as people see it: `waiting` means that people are waited for."""
# In patterns, `$` alone also matches before a line end at the end of a text: hence `$(?!\n)`.
Text = Annotated[str, Meta(max_length=400)]
Moment = Annotated[datetime, Meta(tz=True)]


class RunPath(msgspec.Struct, kw_only=True, frozen=True):
    """The run.

    Attributes:
        id: The run's id.
    """

    id: Text


class PromptPath(msgspec.Struct, kw_only=True, frozen=True):
    """A step of a run.

    Attributes:
        id: The run's id.
        step: The path to the step as events name it, for its newest request; or the number of its
            record in the log, `12` or `12.1`.
    """

    id: Text
    step: Annotated[str, Meta(max_length=1000)]


class QuestionPath(msgspec.Struct, kw_only=True, frozen=True):
    """The question.

    Attributes:
        id: The question's id.
    """

    id: Text


class LetterPath(msgspec.Struct, kw_only=True, frozen=True):
    """The dead letter.

    Attributes:
        seq: The dead letter's number, its `id` in the list.
    """

    seq: Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]


class RunsQuery(msgspec.Struct, kw_only=True, frozen=True):
    """Which runs to list, those that started last first.

    Attributes:
        status: Only runs with one of these statuses; may be given several times. `waiting` means
            for people; `retrying` is in a back-off, `sleeping` waits for a time, an event or a
            child.
        workflow: Only runs of this workflow.
        ticket: Only runs of this ticket.
        label: Only runs with this label, `name:value`; may be given several times.
        role: Only runs that wait for this role of people.
        text: Only runs with this text in id, ticket, workflow, title, question or error, in any
            case.
        time: The time that orders the list, and that `since` and `until` limit.
        since: Only runs from this time on, ISO 8601 with a zone.
        until: Only runs before this time, ISO 8601 with a zone.
        cursor: `next` or `previous` of another page; give the same filters with it.
        limit: At most this many.
    """

    status: list[ShownStatus] = []
    workflow: Text = ""
    ticket: Text = ""
    label: list[Annotated[str, Meta(pattern="^[^:]+:", max_length=400)]] = []
    role: Text = ""
    text: Text = ""
    time: Literal["started", "updated", "ended"] = "started"
    since: Moment | None = None
    until: Moment | None = None
    cursor: Text = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class EventsQuery(msgspec.Struct, kw_only=True, frozen=True):
    """Where the stream begins.

    Attributes:
        after: The number of the last event that you have, for readers that cannot send the header
            `Last-Event-ID`; empty: from the first event on.
    """

    after: Annotated[str, Meta(pattern=r"^([0-9]{1,15}(\.[0-9]{1,15})?)?$(?!\n)")] = ""


class FeedQuery(msgspec.Struct, kw_only=True, frozen=True):
    """Where the stream begins.

    Attributes:
        after: The number of the last change that you have, for readers that cannot send the header
            `Last-Event-ID`; empty: with what changes from now on.
    """

    after: Text = ""


class QuestionsQuery(msgspec.Struct, kw_only=True, frozen=True):
    """Which questions to list.

    Attributes:
        state: `open`: the nearest deadline first. `closed`: the one that was asked last first.
            `all`: the open ones, then the closed ones. It is `open` unless given; with `by`,
            `closed`.
        role: Only questions to this role.
        ticket: Only questions on this ticket.
        text: Only questions with this text in ticket, question or context, in any case.
        by: Only questions that this person has answered.
        cursor: `next` of another page; give the same filters with it.
        limit: At most this many.
    """

    state: Literal["open", "closed", "all"] | None = None
    role: Text = ""
    ticket: Text = ""
    text: Text = ""
    by: Text = ""
    cursor: Text = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class LimitQuery(msgspec.Struct, kw_only=True, frozen=True):
    """How much to list.

    Attributes:
        limit: At most this many.
    """

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Reason(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Why something is done.

    Attributes:
        reason: Why, for those who look at it later.
    """

    reason: Annotated[str, Meta(max_length=2000)] = ""


class SentEvent(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An event to send.

    Attributes:
        subject: A workflow's trigger, or one of the app's `events`.
        data: The event itself, any JSON.
        id: Its id: sent again with it, it starts nothing new. Empty: a new one.
    """

    subject: Annotated[str, Meta(min_length=1, max_length=400)]
    data: Any
    id: Annotated[str, Meta(max_length=400, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""


class Answer(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An answer to a question.

    Attributes:
        answer: The answer: text, or the JSON that the question's `form` asks for.
    """

    answer: Any


class Claim(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How long somebody is on a question.

    Attributes:
        minutes: How long; 0 releases the claim.
    """

    minutes: Annotated[float, Meta(ge=0, le=1440)] = 30.0


class Passing(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The person or role that a question is passed on to.

    Attributes:
        to: Who is asked too: `role:lead` or `person:bob`.
    """

    to: Annotated[
        str,
        Meta(pattern=r"^(role:[a-z][a-z0-9_-]{0,31}|person:[A-Za-z0-9_-]{1,200})$(?!\n)"),
    ]


class AskingBack(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What somebody wants to know before they answer.

    Attributes:
        text: What they ask.
    """

    text: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"\S")]


class QuestionList(msgspec.Struct, kw_only=True, frozen=True):
    """Questions.

    Attributes:
        questions: The questions; `status` is `open`, `answered`, `expired`, `no_quorum` or
            `closed`: the run no longer needed the answer.
        total: How many there are, `limit` aside.
        answers: Of the questions that were answered, by their id: the answer that was accepted.
        next: The cursor of the next page; null: there is none, or the list is of open questions
            only.
    """

    questions: list[QuestionRow]
    total: int
    answers: dict[str, AnswerRow] = {}
    next: str | None = None


class RoleStats(msgspec.Struct, kw_only=True, frozen=True):
    """The open questions to a role.

    Attributes:
        role: The role.
        open: How many questions are open.
        oldest: When the one that has been open longest was asked.
    """

    role: str
    open: int
    oldest: str


class Stats(msgspec.Struct, kw_only=True, frozen=True):
    """How much there is.

    Attributes:
        runs: How many runs, by status.
        questions: The open questions, by role.
        dead: How many dead letters there are.
        workers: How many workers run, as far as they were heard.
        catalogue: How far the list of runs and questions is filled.
    """

    runs: dict[str, int]
    questions: list[RoleStats]
    dead: int
    workers: int
    catalogue: Progress


class DeadList(msgspec.Struct, kw_only=True, frozen=True):
    """Messages that no worker could handle, the newest first.

    Attributes:
        dead: The messages.
        total: How many there are, `limit` aside.
    """

    dead: list[DeadRow]
    total: int


class AppList(msgspec.Struct, kw_only=True, frozen=True):
    """What apps declare, by name.

    Attributes:
        apps: The apps whose workers have run on this server.
    """

    apps: list[AppRow]


class WorkerList(msgspec.Struct, kw_only=True, frozen=True):
    """Workers, those that were lost at the end.

    Attributes:
        workers: Those that were heard since the console started.
    """

    workers: list[WorkerRow]


class Dropped(msgspec.Struct, kw_only=True, frozen=True):
    """A dead letter that was removed.

    Attributes:
        dropped: Its number.
    """

    dropped: int


class Doctor(msgspec.Struct, kw_only=True, frozen=True):
    """What is wrong, in the order in which to read it.

    Attributes:
        findings: The findings.
    """

    findings: list[Finding]


class Health(msgspec.Struct, kw_only=True, frozen=True):
    """The console answers.

    Attributes:
        status: `ok`.
    """

    status: Literal["ok"] = "ok"


class Gone(msgspec.Struct, kw_only=True, frozen=True):
    """Something that is not listed any more.

    Attributes:
        id: Its id.
    """

    id: str


class Reset(msgspec.Struct, kw_only=True, frozen=True):
    """What changed before is not known: read the lists now, then apply what follows."""
