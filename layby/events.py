"""The events of a run: typed and numbered, the same for every reader of its log.

An event's JSON has its kind in `type`; fields may be added, and readers skip types they do not
know. The number `id` is the position in the run's log and the place within that message.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from .ask_back_events import QuestionAskedBack as QuestionAskedBack  # noqa: PLC0414  public here
from .ask_back_events import QuestionReplied as QuestionReplied  # noqa: PLC0414  public here
from .event_number import number as number  # noqa: PLC0414  public here
from .question_events import QuestionOpened as QuestionOpened  # noqa: PLC0414  public here
from .runtime.status import RunStatus
from .runtime.streaming import Event, TextDelta


class RunStarted(Event, frozen=True, kw_only=True, tag="run.started"):
    """The run began."""

    workflow: str
    ticket: str
    event: Any = None


class NetworkStarted(Event, frozen=True, kw_only=True, tag="network.started"):
    """A network was given work."""

    network: str


class NetworkEnded(Event, frozen=True, kw_only=True, tag="network.ended"):
    """A network is done; if it failed, an `error` says how."""

    network: str
    text: str = ""
    status: str = "done"
    """`done`; `max_turns` or `budget_spent` where its `at_limit` is `return`."""


class AgentStarted(Event, frozen=True, kw_only=True, tag="agent.started"):
    """An agent's turn began."""


class AgentEnded(Event, frozen=True, kw_only=True, tag="agent.ended"):
    """An agent's turn is over: its last text, and why it stopped."""

    text: str = ""
    stop: str = ""


class StepDone(Event, frozen=True, kw_only=True, tag="step.done"):
    """A step succeeded; what it returned."""

    result: Any = None
    note: str = ""
    seconds: float = 0.0


class Routed(Event, frozen=True, kw_only=True, tag="route"):
    """A router's decision: who is next; nobody if the network is done."""

    agents: list[str]
    by: str = ""
    summary: str = ""


class ModelResponded(Event, frozen=True, kw_only=True, tag="model.responded"):
    """A model's complete response. It replaces the `text.delta` events of the same `step`."""

    text: str
    stop_reason: str = ""
    model: str = ""
    seconds: float = 0.0


class ToolCalled(Event, frozen=True, kw_only=True, tag="tool.called"):
    """A model called a tool, with these arguments."""

    call: str
    """The model's id of the call."""
    tool: str
    arguments: dict[str, Any]


class ToolDone(Event, frozen=True, kw_only=True, tag="tool.done"):
    """The result of a tool call, as the model gets it."""

    call: str
    tool: str
    output: str
    is_error: bool = False
    seconds: float = 0.0


class UsageReported(Event, frozen=True, kw_only=True, tag="usage"):
    """The tokens that a model's response used, and those of the run so far."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    run_input_tokens: int = 0
    run_output_tokens: int = 0


class QuestionAsked(Event, frozen=True, kw_only=True, tag="question.asked"):
    """A person was asked."""

    question_id: str
    role: str
    question: str
    context: str = ""
    deadline: str = ""
    form: dict[str, Any] | None = None


class QuestionAnswered(Event, frozen=True, kw_only=True, tag="question.answered"):
    """A person answered."""

    question_id: str
    text: str
    by: str = ""
    vouched: str = ""
    """What vouches for `by`: `nats`, `signature` or `none`; empty in older logs."""


class QuestionVoted(Event, frozen=True, kw_only=True, tag="question.voted"):
    """One of several people voted. If that decided it, `question.answered` follows."""

    question_id: str
    by: str
    role: str
    """The role that the vote counts for."""
    choice: str
    """What it chose: `approve` or `reject` of a tool call, `yes` or `no`, or one of the values."""
    text: str
    vouched: str
    """What vouches for `by`: `nats` or `signature`."""
    standing: str
    """How many of how many votes this choice has, in words."""


class QuestionUndecided(Event, frozen=True, kw_only=True, tag="question.no_quorum"):
    """Several people were asked and can no longer agree: the question is closed."""

    question_id: str


class QuestionExpired(Event, frozen=True, kw_only=True, tag="question.expired"):
    """Nobody answered in time."""

    question_id: str


class QuestionOnDuty(Event, frozen=True, kw_only=True, tag="question.on_duty"):
    """The rota said who is on duty for a question."""

    question_id: str
    told: tuple[str, ...] = ()
    """Who is told, by name."""
    nobody: bool = False
    """Whether nobody is on duty, so that the question is escalated at once."""


class QuestionReminded(Event, frozen=True, kw_only=True, tag="question.reminded"):
    """An open question was published again."""

    question_id: str
    number: int
    """Which reminder it is, from 1."""
    told: tuple[str, ...] = ()
    """Who is told, by name; empty: everybody with the role."""
    nobody: bool = False
    """Whether nobody is on duty, so that the question is escalated at once."""
    claimed: bool = False
    """Whether only the person who has claimed the question is told."""


class QuestionEscalated(Event, frozen=True, kw_only=True, tag="question.escalated"):
    """Somebody else was asked an open question too."""

    question_id: str
    to: str
    """Who: `role:lead` or `person:cto`."""
    told: tuple[str, ...] = ()
    """Which of them are told, by name; empty: everybody with the role."""
    nobody: bool = False
    """Whether none of them is on duty."""
    early: bool = False
    """Whether it was before its time, because nobody was on duty, or nobody asked would answer."""


class QuestionClaimed(Event, frozen=True, kw_only=True, tag="question.claimed"):
    """Somebody said that they will answer an open question."""

    question_id: str
    by: str
    until: str = ""
    """When the claim expires; empty: they released it."""


class QuestionPassed(Event, frozen=True, kw_only=True, tag="question.passed"):
    """Somebody passed an open question on: somebody else is asked too."""

    question_id: str
    by: str
    to: str
    """Who is asked: `role:lead` or `person:bob`."""
    told: tuple[str, ...] = ()
    """Which of them are told, by name; empty: everybody with the role."""
    nobody: bool = False
    """Whether none of them is on duty."""


class QuestionDeclined(Event, frozen=True, kw_only=True, tag="question.declined"):
    """Somebody said that they will not answer an open question."""

    question_id: str
    by: str


class QuestionNotified(Event, frozen=True, kw_only=True, tag="question.notified"):
    """It is known what became of a question's card on a channel."""

    question_id: str
    role: str
    """The role whose channel it is."""
    channel: str
    status: str
    """`sent`, `failed`, or `held` by quiet hours."""
    rung: int = -1
    """The rung that it was sent for, by its place in the ladder; -1: the question was asked."""
    reason: str = ""
    """Why it was given up."""
    until: str = ""
    """Until when it is held."""


class QuestionUndelivered(Event, frozen=True, kw_only=True, tag="question.undelivered"):
    """No channel of a role could show a question: it is escalated at once."""

    question_id: str
    role: str
    rung: int = -1
    """As in `QuestionNotified`."""


class QuestionWithdrawn(Event, frozen=True, kw_only=True, tag="question.withdrawn"):
    """The run no longer needs the answer."""

    question_id: str


class Slept(Event, frozen=True, kw_only=True, tag="slept"):
    """The run sleeps."""

    until: str


class Woke(Event, frozen=True, kw_only=True, tag="woke"):
    """A sleep or back-off is over."""


class EventAwaited(Event, frozen=True, kw_only=True, tag="event.awaited"):
    """The run waits for an event."""

    subject: str
    match: dict[str, Any]


class EventArrived(Event, frozen=True, kw_only=True, tag="event.arrived"):
    """The event arrived."""

    event: Any = None


class ChildStarted(Event, frozen=True, kw_only=True, tag="child.started"):
    """The run waits for a run of another workflow."""

    child: str
    workflow: str


class ChildEnded(Event, frozen=True, kw_only=True, tag="child.ended"):
    """That run is over; if it failed, an `error` says how."""

    result: Any = None


class ErrorRaised(Event, frozen=True, kw_only=True, tag="error"):
    """A step, an agent or a network failed."""

    error: str
    """The kind of error."""
    message: str
    attempts: int = 1
    again_at: str | None = None
    """When it is tried again; None: never."""
    place: str = ""
    """The line of user code that raised it, `pay (shop/app.py:41)`; empty if there is none."""


class RunBlocked(Event, frozen=True, kw_only=True, tag="run.blocked"):
    """The run cannot continue until people have fixed something."""

    kind: str
    """What: `code`, `version`, `setup`, `key`, `budget` or `permission`."""
    reason: str
    needs: str
    """What people can do about it."""


class RunUnblocked(Event, frozen=True, kw_only=True, tag="run.unblocked"):
    """It is tried again."""

    by: str = ""
    """Who asked for it; empty if a worker tries by itself."""
    why: str = ""


class RunReopened(Event, frozen=True, kw_only=True, tag="run.reopened"):
    """A run that failed continues at what failed; it has more than one `run.ended`."""

    by: str
    why: str = ""


class StepRetried(Event, frozen=True, kw_only=True, tag="step.retried"):
    """What failed is done again, because a person decided so."""

    question_id: str = ""
    steps: tuple[str, ...] = ()


class RunEnded(Event, frozen=True, kw_only=True, tag="run.ended"):
    """The run is over. This is the last event, unless somebody reopens the run."""

    status: RunStatus
    result: Any = None
    error: str | None = None


AnyEvent: TypeAlias = (
    RunStarted
    | NetworkStarted
    | NetworkEnded
    | AgentStarted
    | AgentEnded
    | StepDone
    | Routed
    | TextDelta
    | ModelResponded
    | ToolCalled
    | ToolDone
    | UsageReported
    | QuestionAsked
    | QuestionAnswered
    | QuestionOnDuty
    | QuestionReminded
    | QuestionEscalated
    | QuestionClaimed
    | QuestionPassed
    | QuestionDeclined
    | QuestionAskedBack
    | QuestionReplied
    | QuestionOpened
    | QuestionNotified
    | QuestionUndelivered
    | QuestionVoted
    | QuestionUndecided
    | QuestionExpired
    | QuestionWithdrawn
    | Slept
    | Woke
    | EventAwaited
    | EventArrived
    | ChildStarted
    | ChildEnded
    | ErrorRaised
    | RunBlocked
    | RunUnblocked
    | RunReopened
    | StepRetried
    | RunEnded
)

decode = msgspec.json.Decoder(AnyEvent).decode
"""Read an event from its JSON."""
