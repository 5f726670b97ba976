"""What a run tells of itself: typed, numbered events, the same for every reader of its log.

An event's JSON has its kind in `type`; fields may be added, and readers skip types they do not
know. The number `id` is the position in the run's log and the place within that message.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from .rows import RunStatus
from .runtime.speech import Event, TextDelta


class RunStarted(Event, frozen=True, kw_only=True, tag="run.started"):
    """The run began."""

    workflow: str
    ticket: str
    event: Any = None


class NetworkStarted(Event, frozen=True, kw_only=True, tag="network.started"):
    """A network was given work."""

    network: str


class NetworkEnded(Event, frozen=True, kw_only=True, tag="network.ended"):
    """A network is done; how it failed says an `error`."""

    network: str
    text: str = ""
    status: str = "done"
    """`done`; `max_turns` or `budget_spent` where its `at_limit` is `return`."""


class AgentStarted(Event, frozen=True, kw_only=True, tag="agent.started"):
    """An agent's turn began."""


class AgentEnded(Event, frozen=True, kw_only=True, tag="agent.ended"):
    """An agent's turn is over: what it said last, and why it stopped."""

    text: str = ""
    stop: str = ""


class StepDone(Event, frozen=True, kw_only=True, tag="step.done"):
    """A step finished well; what it returned."""

    result: Any = None
    note: str = ""
    seconds: float = 0.0


class Routed(Event, frozen=True, kw_only=True, tag="route"):
    """A router's word: who is next, nobody when the network is done."""

    agents: list[str]
    by: str = ""
    summary: str = ""


class ModelResponded(Event, frozen=True, kw_only=True, tag="model.responded"):
    """A model's complete answer. It takes the place of the `text.delta` of the same `step`."""

    text: str
    stop_reason: str = ""
    model: str = ""
    seconds: float = 0.0


class ToolCalled(Event, frozen=True, kw_only=True, tag="tool.called"):
    """A model asked for a tool: with which arguments."""

    call: str
    """The model's id of the call."""
    tool: str
    arguments: dict[str, Any]


class ToolDone(Event, frozen=True, kw_only=True, tag="tool.done"):
    """What the model is told of a tool call."""

    call: str
    tool: str
    output: str
    is_error: bool = False
    seconds: float = 0.0


class UsageReported(Event, frozen=True, kw_only=True, tag="usage"):
    """Tokens that a model's answer has cost, and those of the run up to here."""

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
    """Who vouches for `by`: `nats`, `signature` or `none`; empty in older logs."""


class QuestionExpired(Event, frozen=True, kw_only=True, tag="question.expired"):
    """Nobody answered in time."""

    question_id: str


class QuestionWithdrawn(Event, frozen=True, kw_only=True, tag="question.withdrawn"):
    """The run does not need the answer any more."""

    question_id: str


class Slept(Event, frozen=True, kw_only=True, tag="slept"):
    """The run waits for a time."""

    until: str


class Woke(Event, frozen=True, kw_only=True, tag="woke"):
    """The time has come."""


class EventAwaited(Event, frozen=True, kw_only=True, tag="event.awaited"):
    """The run waits for an event."""

    subject: str
    match: dict[str, Any]


class EventArrived(Event, frozen=True, kw_only=True, tag="event.arrived"):
    """The event has come."""

    event: Any = None


class ChildStarted(Event, frozen=True, kw_only=True, tag="child.started"):
    """The run waits for a run of another workflow."""

    child: str
    workflow: str


class ChildEnded(Event, frozen=True, kw_only=True, tag="child.ended"):
    """That run is over; how it failed says an `error`."""

    result: Any = None


class ErrorRaised(Event, frozen=True, kw_only=True, tag="error"):
    """A step, an agent or a network failed."""

    error: str
    """The kind of error."""
    message: str
    attempts: int = 1
    again_at: str | None = None
    """When it is tried again; None: it is not."""
    place: str = ""
    """The line of user code that raised it, `pay (shop/app.py:41)`; empty: none did."""


class RunBlocked(Event, frozen=True, kw_only=True, tag="run.blocked"):
    """The run cannot go on until people have mended something."""

    kind: str
    """What: `code`, `version`, `setup`, `key`, `budget` or `permission`."""
    reason: str
    needs: str
    """What they can do about it."""


class RunUnblocked(Event, frozen=True, kw_only=True, tag="run.unblocked"):
    """It is tried again."""

    by: str = ""
    """The person who asked for it; empty when a worker tries by itself."""
    why: str = ""


class RunReopened(Event, frozen=True, kw_only=True, tag="run.reopened"):
    """A run that ended badly goes on from what failed: it has more than one `run.ended`."""

    by: str
    why: str = ""


class StepRetried(Event, frozen=True, kw_only=True, tag="step.retried"):
    """What failed is done again, as a person decided."""

    question_id: str = ""
    steps: tuple[str, ...] = ()


class RunEnded(Event, frozen=True, kw_only=True, tag="run.ended"):
    """The run is over; the last event, unless somebody reopens it."""

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


def number(text: str | int) -> tuple[int, float]:
    """An event's number as position and place; `12` alone means all of position 12.

    Raises:
        ValueError: it is no event's number.
    """
    position, dot, place = str(text).partition(".")
    if not position.isdigit() or (dot and not place.isdigit()):
        raise ValueError(f"{text!r} is no event's number: give the `id` of an event, '12.0' say")
    return int(position), float(place) if dot else float("inf")
