"""A workflow: the user's function that an event starts, and the actor that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from ...bus.dead import EVENT_ID
from ...bus.errors import InvalidTicket
from ...bus.events import Event
from ...bus.mailbox import Delivery
from ...bus.names import OWN_WORDS
from ...bus.token import encode, slug
from ...runtime import crash
from ...runtime.actor_step import ActorStep
from ...runtime.address import Address
from ...runtime.ask_on_failure import AskOnFailure, FailureQuestion
from ...runtime.blockers import need_of
from ...runtime.delivery_policy import PoisonMessage
from ...runtime.entry import ROOT, Awaited, Failure, Origin, Raw, Started
from ...runtime.errors import AnswerDoubted, Fenced, InvalidSetup, Undeclared, WorkflowChanged
from ...runtime.failure import failure_of
from ...runtime.gate import Gate
from ...runtime.host import Host
from ...runtime.ids import run_id
from ...runtime.mail import check_unstarted
from ...runtime.matching import event_of, field
from ...runtime.repairs import ON_FAILURE
from ...runtime.state import Frame, RunState
from ...runtime.values import BadValue, load
from ..kinds import WORKFLOW
from .cancel import CANCEL_KEY
from .failed_run import FailedRun, run_failure_question
from .function import DIGEST, WorkflowFunction, signature, version_of
from .labelling import Labelling
from .opening import DecodedEvent, FirstEntry, Opening
from .workflow_step import WorkflowStep

Declarable = Callable[[Any, WorkflowStep], Awaitable[Any]] | Callable[[Any], Awaitable[Any]]
"""What may be declared as a workflow: an `async def` of the event and the step, or of the event."""

EVENTS_OF = "on-"
"""The prefix of the consumers of workflows' events."""
_LARGEST_EVENT = 512 * 1024
_NO_LABELS = Labelling()
_ANY_OBJECT = (Any, dict, dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class RunFailure:
    """What a workflow's `on_failure` is called with."""

    run_id: str
    ticket: str
    event: Any
    error: str
    type: str
    """The name of the error's class."""
    place: str = ""
    """Where user code raised it, `pay (shop/app.py:41)`; empty if that is not known."""


@dataclass(frozen=True, kw_only=True)
class WorkflowOptions:
    """Limits of a workflow's runs, and what happens when they fail."""

    on_failure: AskOnFailure | Callable[[RunFailure, WorkflowStep], Awaitable[Any]] | None = None
    """Who is asked what to do about an error, or what the run itself calls, durably, before it ends
    with one."""
    timeout: float | None = None
    """Seconds that a run may take, without the time that people take."""
    cancel_on: str = ""
    """A subject whose events cancel the runs of their ticket."""
    retention: float | None = None
    """Seconds after which a run that has ended is removed; None: the app's."""
    subject: str = ""
    """The event's field, or a path to it, that says whose data it is: the run needs their key."""
    labelling: Labelling = _NO_LABELS
    """What its runs are called in lists."""


class Workflow:
    """A user's function with the subject that starts it and the field that is its ticket."""

    strict = True

    def __init__(
        self,
        fn: WorkflowFunction,
        *,
        on: str,
        key: str,
        name: str = "",
        version: str = "",
        options: WorkflowOptions | None = None,
    ) -> None:
        self.fn = fn
        self.on = checked_subject(on)
        self.key = key
        self.name = name or fn.__name__
        self.version = version or version_of(fn)
        self.options = options or WorkflowOptions()
        self.event_type, self._takes_step = signature(fn)
        self.versions: dict[str, Workflow] = {self.version: self}
        """All versions of this workflow; a run continues in the version it began in."""

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return str(Address.of(WORKFLOW, self.name))

    @property
    def consumer(self) -> str:
        """The durable consumer of its events."""
        return f"{EVENTS_OF}{slug(self.name)}"

    def accept(self, result: Raw) -> Any:
        """Read what a run returned."""
        return load(result)

    async def enter(
        self, step: ActorStep, frame: Frame, state: RunState, decoded: DecodedEvent | None = None
    ) -> Any:
        """Run the function from its start, in the version that the run began in.

        `decoded` is the event that was decoded to open the run, if this is the first entry.
        """
        mine = self._in_version(state.version)
        raw = state.event if state.frames else frame.input
        failed_run = self._failed_run(step, raw)
        decision = None if failed_run is None else await failed_run.recorded_decision()
        if decision is not None:
            return decision.value
        is_decoded = decoded is not None and mine is self and decoded.raw == raw
        # An event is never stored elsewhere, whatever it looks like.
        event = decoded.value if decoded and is_decoded else load(raw, mine.event_type)
        verbs = step.verbs(WorkflowStep)
        if step.begins:
            await self._watch(step)
        try:
            return await mine.call(event, verbs)
        except AnswerDoubted:
            raise
        except WorkflowChanged as changed:
            raise WorkflowChanged(
                f"{changed}: the run was started by version {state.version!r} of workflow "
                f"{self.name!r}, this worker runs {mine.version!r}; declare the old version "
                "alongside the new one, or put the step back"
            ) from None
        except Exception as error:
            if need_of(error) is not None:
                raise
            decision = None if failed_run is None else await failed_run.decide(error)
            if decision is not None and decision.kind == "skip":
                return decision.value
            await self._call_on_failure(step, event, error)
            raise

    def _in_version(self, version: str) -> Workflow:
        """The function for a run that began in `version`.

        An unknown digest means changed source: the current function is tried. An unknown name
        means another release, whose workers must take the run.
        """
        mine = self.versions.get(version or self.version)
        if mine is None and not version.startswith(DIGEST):
            raise Undeclared(
                f"the run began in version {version!r} of workflow {self.name!r}; this worker "
                f"declares {', '.join(map(repr, self.versions))}"
            )
        return mine or self

    async def call(self, event: Any, verbs: WorkflowStep) -> Any:
        """Call the user's function."""
        return await (self.fn(event, verbs) if self._takes_step else self.fn(event))

    async def _watch(self, step: ActorStep) -> None:
        """Arm the timeout and the event that end the run; repeated whenever its start is."""
        options, ports = self.options, step.ports
        if options.timeout is None and not options.cancel_on:
            return
        await step.settle()
        state = step.state
        if options.timeout is not None:
            await ports.arm_limit(state.id, state.started_at + options.timeout, options.timeout)
        if options.cancel_on and ports.events is not None:
            match = {self.key: state.ticket}
            watch = Awaited(frame=ROOT, key=CANCEL_KEY, subject=options.cancel_on, match=match)
            await ports.events.register(state.id, watch, state.started_at)

    async def _call_on_failure(self, step: ActorStep, event: Any, error: Exception) -> None:
        on_failure = self.options.on_failure
        if on_failure is None or isinstance(on_failure, AskOnFailure):
            return
        failure = failure_of(error)
        run_failure = RunFailure(
            run_id=step.run_id,
            ticket=step.ticket,
            event=event,
            error=failure.message,
            type=failure.type,
            place=str(failure.place or ""),
        )
        await on_failure(run_failure, step.under(ON_FAILURE).verbs(WorkflowStep))

    def _failed_run(self, step: ActorStep, raw: Raw) -> FailedRun | None:
        """Has a person decide about the run's failures; None: nobody is asked."""
        policy, mine = self.options.on_failure, self._in_version(step.state.version)
        if not isinstance(policy, AskOnFailure):
            return None

        def fit(edited: Raw) -> None:
            mine.check_edited(edited, step.ticket)

        async def question_for(failure: Failure) -> FailureQuestion:
            return run_failure_question(self.name, load(raw), failure, fn=mine.fn, fit=fit)

        return FailedRun(step, policy, question_for)

    def check_edited(self, event: Raw, ticket: str) -> None:
        """Refuse an event that cannot replace that of a run. Raises BadValue."""
        try:
            found = self.started(bytes(event)).ticket
        except PoisonMessage as error:
            raise BadValue(str(error)) from None
        if found != ticket:
            raise BadValue(f"its ticket is {found!r}, but the run is about {ticket!r}")

    def opening(self, event: Event) -> Opening:
        """The run that an event starts, and its first record.

        Raises:
            PoisonMessage: the event can start nothing; the message says what it lacks.
        """
        decoded = self._decoded(event.data)
        event_id = event.headers.get(EVENT_ID) or event.headers.get("Nats-Msg-Id")
        event_id = event_id or f"{event.seq}@{event.at}"
        started = msgspec.structs.replace(self._started(decoded), seq=event.seq, on=event.subject)
        return Opening(run_id(self.name, event_id), started, decoded)

    def person(self, event: Raw) -> str:
        """Whose data an event holds; empty if the workflow names no field, or it is missing."""
        return self.person_of(event_of(bytes(event)) or {}) if self.options.subject else ""

    def person_of(self, fields: dict[str, Any]) -> str:
        """Whose data a decoded event holds; empty as for `person`."""
        value = field(fields, self.options.subject) if self.options.subject else None
        known = isinstance(value, str | int) and not isinstance(value, bool)
        return str(value) if known else ""

    def started(self, data: bytes, parent: Origin | None = None) -> Started:
        """The first record of a run for the event `data`. Raises PoisonMessage."""
        return self._started(self._decoded(data), parent)

    def _started(self, event: DecodedEvent, parent: Origin | None = None) -> Started:
        labelling = self.options.labelling
        return Started(
            workflow=self.name,
            actor=self.address,
            version=self.version,
            ticket=event.ticket,
            event=event.raw,
            parent=parent,
            title=labelling.title(event.fields),
            labels=labelling.labels(event.fields),
        )

    def _decoded(self, data: bytes) -> DecodedEvent:
        """The event, decoded as JSON and as its type. Raises PoisonMessage."""
        fields = self._parse(data)
        ticket, value = self._ticket(fields), cast("Any", fields)
        try:
            if self.event_type not in _ANY_OBJECT:
                value = load(Raw(data), self.event_type)
        except BadValue as error:
            raise PoisonMessage(f"the event does not fit workflow {self.name!r}: {error}") from None
        return DecodedEvent(Raw(data.strip()), fields, ticket, value)

    def _parse(self, data: bytes) -> dict[str, Any]:
        if len(data) > _LARGEST_EVENT:
            raise PoisonMessage(
                f"the event has {len(data)} bytes, more than {_LARGEST_EVENT}: "
                "store the bulk elsewhere and send a reference to it"
            )
        try:
            event = msgspec.json.decode(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise PoisonMessage(f"the event is not JSON: {error}") from None
        if not isinstance(event, dict):
            raise PoisonMessage(f"the event is a JSON {type(event).__name__}, not an object")
        return cast("dict[str, Any]", event)

    def _ticket(self, event: dict[str, Any]) -> str:
        value = field(event, self.key)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise PoisonMessage(
                f"the event has no ticket id: the field {self.key!r} must be text or a whole "
                f"number; the event has the fields {sorted(map(str, event))[:20]}"
            )
        try:
            encode(str(value))
        except InvalidTicket as error:
            raise PoisonMessage(str(error)) from None
        return str(value)


class WorkflowActor:
    """Starts a workflow's runs from its events, and continues them from its mail."""

    def __init__(self, workflow: Workflow, host: Host) -> None:
        self._workflow = workflow
        self._host = host
        self._gate = Gate()

    async def event(self, delivery: Delivery) -> None:
        """Start the run of an event, once."""
        async with self._gate.admit(delivery):
            opening = await self._begin(delivery)
            workflow = self._workflow
            first = FirstEntry(workflow.address, workflow.enter, opening.event)
            await self._host.start(first, delivery, opening.run, opening.started)

    async def start_again(self, event: Event) -> str:
        """Start the run of an event that was given up, unless it has begun; return the run's id.

        Other readers of the event's stream get nothing: the first entry of the log is mail.

        Raises:
            PoisonMessage: the event can start nothing as it is.
        """
        opening = await self._begin(event)
        live = self._host.cache.fresh(opening.run)
        with suppress(Fenced):
            await live.append([opening.started], to=self._workflow.address)
        check_unstarted(live.state)
        return opening.run

    async def _begin(self, event: Event) -> Opening:
        """What opens the run that an event is to start; the run has a key of its own by then."""
        opening = self._workflow.opening(event)
        person = self._workflow.person_of(opening.event.fields)
        if self._workflow.options.subject and not person:
            raise PoisonMessage(
                f"the event does not say whose data it is: the field "
                f"{self._workflow.options.subject!r} must be text or a whole number"
            )
        crash.point("event_taken")
        await self._host.log.begin(opening.run, person)
        return opening


def checked_subject(subject: str) -> str:
    """`subject` if events can be sent to it. Raises InvalidSetup."""
    tokens = subject.split(".")
    if any(
        not token or token != token.strip() or set(token) & set("*> \t\r\n") for token in tokens
    ):
        raise InvalidSetup(
            f"{subject!r} is not a subject for events: use words joined by dots, "
            "'support.ticket.created' for instance, without wildcards"
        )
    if tokens[0] in OWN_WORDS or tokens[0].startswith(("$", "_")):
        raise InvalidSetup(
            f"subjects under {tokens[0]!r} are Layby's own: choose another for {subject!r}"
        )
    return subject


__all__ = ["Workflow", "WorkflowActor", "WorkflowStep"]
