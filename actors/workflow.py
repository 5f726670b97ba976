"""A workflow: the user's function that an event starts, and the actor that runs it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast, get_type_hints

import msgspec

from ..bus.dead import EVENT_ID
from ..bus.errors import InvalidTicket
from ..bus.mailbox import Delivery
from ..bus.names import OWN_WORDS
from ..bus.token import encode, slug
from ..runtime import crash
from ..runtime.actor_step import ActorStep
from ..runtime.address import Address
from ..runtime.entry import ROOT, Awaited, Failure, Origin, Raw, Started
from ..runtime.errors import AnswerDoubted, InvalidSetup, Undeclared, WorkflowChanged
from ..runtime.failing import AskOnFailure, Trouble
from ..runtime.failure import failure_of
from ..runtime.guard import Hopeless
from ..runtime.host import Host
from ..runtime.ids import run_id
from ..runtime.matching import event_of, field
from ..runtime.mending import ON_FAILURE
from ..runtime.need import need_of
from ..runtime.state import Frame, RunState
from ..runtime.values import BadValue, load
from .asked_run import AskedRun, run_trouble
from .cancel import CANCEL_KEY
from .kinds import WORKFLOW
from .workflow_step import WorkflowStep

WorkflowFunction = Callable[..., Awaitable[Any]]

_LARGEST_EVENT = 512 * 1024
_DIGEST = "source-"
"""How a version begins that nobody named."""
_ANY_OBJECT = (Any, dict, dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class RunFailure:
    """What a workflow's `on_failure` is told."""

    run_id: str
    ticket: str
    event: Any
    error: str
    type: str
    """The name of the error's class."""
    place: str = ""
    """Where user code raised it, `pay (shop/app.py:41)`; empty where that is not known."""


@dataclass(frozen=True, kw_only=True)
class WorkflowOptions:
    """How a workflow's runs are kept in bounds."""

    on_failure: AskOnFailure | Callable[[RunFailure, WorkflowStep], Awaitable[Any]] | None = None
    """Who is asked what to do about an error, or what is called in the run itself, durably, before
    it ends with one."""
    timeout: float | None = None
    """Seconds that a run may take, without the time that people take."""
    cancel_on: str = ""
    """A subject whose events cancel the runs of their ticket."""
    retention: float | None = None
    """Seconds after which a run that has ended is removed; None: the app's."""
    subject: str = ""
    """The event's field that says whose data it is, or a path to it: their key is needed too."""


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
        self.version = version or _version_of(fn)
        self.options = options or WorkflowOptions()
        self.event_type, self._takes_step = _signature(fn)
        self.versions: dict[str, Workflow] = {self.version: self}
        """This workflow as it was and is; a run goes on in the version that it began in."""

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return str(Address.of(WORKFLOW, self.name))

    @property
    def consumer(self) -> str:
        """The durable consumer of its events."""
        return f"on-{slug(self.name)}"

    def accept(self, result: Raw) -> Any:
        """Read what a run returned."""
        return load(result)

    async def enter(self, step: ActorStep, frame: Frame, state: RunState) -> Any:
        """Run the function from its start, in the version that the run began in."""
        mine = self._in_version(state.version)
        raw = state.event if state.frames else frame.input
        asked = self._asked(step, raw)
        decision = await asked.before() if asked is not None else None
        if decision is not None:
            return decision.value
        event = load(raw, mine.event_type)  # never put away, whatever it looks like
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
                f"{self.name!r}, this worker runs {mine.version!r}; declare the old version beside "
                "the new one, or put the step back"
            ) from None
        except Exception as error:
            if need_of(error) is not None:
                raise
            decision = None if asked is None else await asked.about(error)
            if decision is not None and decision.kind == "skip":
                return decision.value
            await self._failed(step, event, error)
            raise

    def _in_version(self, version: str) -> Workflow:
        """The function for a run that began in `version`.

        A digest that is not ours means changed source: it is tried as it is now. A version that
        somebody named means another release, whose workers are to take the run.
        """
        mine = self.versions.get(version or self.version)
        if mine is None and not version.startswith(_DIGEST):
            raise Undeclared(
                f"the run began in version {version!r} of workflow {self.name!r}; this worker "
                f"declares {', '.join(map(repr, self.versions))}"
            )
        return mine or self

    async def call(self, event: Any, verbs: WorkflowStep) -> Any:
        """Call the user's function."""
        return await (self.fn(event, verbs) if self._takes_step else self.fn(event))

    async def _watch(self, step: ActorStep) -> None:
        """Have the run ended by its timeout or by an event; repeated when its start is."""
        options, services = self.options, step.services
        if options.timeout is None and not options.cancel_on:
            return
        await step.settle()
        state = step.state
        if options.timeout is not None:
            await services.arm_limit(state.id, state.started_at + options.timeout, options.timeout)
        if options.cancel_on and services.events is not None:
            match = {self.key: state.ticket}
            watch = Awaited(frame=ROOT, key=CANCEL_KEY, subject=options.cancel_on, match=match)
            await services.events.register(state.id, watch, state.started_at)

    async def _failed(self, step: ActorStep, event: Any, error: Exception) -> None:
        tell = self.options.on_failure
        if tell is None or isinstance(tell, AskOnFailure):
            return
        failure = failure_of(error)
        told = RunFailure(
            run_id=step.run_id,
            ticket=step.ticket,
            event=event,
            error=failure.message,
            type=failure.type,
            place=str(failure.place or ""),
        )
        await tell(told, step.under(ON_FAILURE).verbs(WorkflowStep))

    def _asked(self, step: ActorStep, raw: Raw) -> AskedRun | None:
        """Who decides about the run's failures; None: nobody is asked."""
        policy, mine = self.options.on_failure, self._in_version(step.state.version)
        if not isinstance(policy, AskOnFailure):
            return None

        def fit(edited: Raw) -> None:
            mine.check_edited(edited, step.ticket)

        async def trouble(failure: Failure) -> Trouble:
            return run_trouble(self.name, load(raw), failure, fn=mine.fn, fit=fit)

        return AskedRun(step, policy, trouble)

    def check_edited(self, event: Raw, ticket: str) -> None:
        """Refuse what cannot take the place of a run's event. Raises BadValue."""
        try:
            found = self.started(bytes(event)).ticket
        except Hopeless as error:
            raise BadValue(str(error)) from None
        if found != ticket:
            raise BadValue(f"its ticket is {found!r}, and the run is about {ticket!r}")

    def opening(self, delivery: Delivery) -> tuple[str, Started]:
        """The run that an event starts, and its first record.

        Raises:
            Hopeless: the event can start nothing; the message says what it lacks.
        """
        started = self.started(delivery.data)
        headers = delivery.headers
        event_id = headers.get(EVENT_ID) or headers.get("Nats-Msg-Id")
        event_id = event_id or f"{delivery.seq}@{delivery.at}"
        return run_id(self.name, event_id), msgspec.structs.replace(
            started, seq=delivery.seq, on=delivery.subject
        )

    def person(self, event: Raw) -> str:
        """Whose data an event holds; empty where the workflow names no field, or it is missing."""
        if not self.options.subject:
            return ""
        value = field(event_of(bytes(event)) or {}, self.options.subject)
        known = isinstance(value, str | int) and not isinstance(value, bool)
        return str(value) if known else ""

    def started(self, data: bytes, parent: Origin | None = None) -> Started:
        """The first record of a run for the event `data`. Raises Hopeless."""
        ticket = self._ticket(self._parse(data))
        try:
            if self.event_type not in _ANY_OBJECT:
                load(Raw(data), self.event_type)
        except BadValue as error:
            raise Hopeless(f"the event does not fit workflow {self.name!r}: {error}") from None
        return Started(
            workflow=self.name,
            actor=self.address,
            version=self.version,
            ticket=ticket,
            event=Raw(data.strip()),
            parent=parent,
        )

    def _parse(self, data: bytes) -> dict[str, Any]:
        if len(data) > _LARGEST_EVENT:
            raise Hopeless(
                f"the event has {len(data)} bytes, more than {_LARGEST_EVENT}: "
                "store the bulk elsewhere and send a reference to it"
            )
        try:
            event = msgspec.json.decode(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise Hopeless(f"the event is no JSON: {error}") from None
        if not isinstance(event, dict):
            raise Hopeless(f"the event is a JSON {type(event).__name__}, not an object")
        return cast("dict[str, Any]", event)

    def _ticket(self, event: dict[str, Any]) -> str:
        value = field(event, self.key)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise Hopeless(
                f"the event has no ticket id: the field {self.key!r} must be text or a whole "
                f"number; the event has the fields {sorted(map(str, event))[:20]}"
            )
        try:
            encode(str(value))
        except InvalidTicket as error:
            raise Hopeless(str(error)) from None
        return str(value)


class WorkflowActor:
    """Starts a workflow's runs from its events, and goes on with them from its mail."""

    def __init__(self, workflow: Workflow, host: Host) -> None:
        self._workflow = workflow
        self._host = host

    async def event(self, delivery: Delivery) -> None:
        """Start the run of an event, once."""
        run, opening = self._workflow.opening(delivery)
        person = self._workflow.person(opening.event)
        if self._workflow.options.subject and not person:
            raise Hopeless(
                f"the event does not say whose data it is: the field "
                f"{self._workflow.options.subject!r} must be text or a whole number"
            )
        crash.point("event_taken")
        await self._host.log.begin(run, person)
        await self._host.start(self._workflow, delivery, run, opening)


def checked_subject(subject: str) -> str:
    """`subject` if events can be sent to it. Raises InvalidSetup."""
    tokens = subject.split(".")
    if any(
        not token or token != token.strip() or set(token) & set("*> \t\r\n") for token in tokens
    ):
        raise InvalidSetup(
            f"{subject!r} is no subject an event can be sent to: use words joined by dots, "
            "'support.ticket.created' for instance, without wildcards"
        )
    if tokens[0] in OWN_WORDS or tokens[0].startswith(("$", "_")):
        raise InvalidSetup(
            f"subjects under {tokens[0]!r} are Layby's own: choose another for {subject!r}"
        )
    return subject


def _version_of(fn: WorkflowFunction) -> str:
    """A digest of the function's source, so that a changed body can be told from the old one."""
    try:
        source = inspect.getsource(fn)
    except (OSError, TypeError):
        source = fn.__qualname__
    return _DIGEST + hashlib.blake2b(source.encode(), digest_size=4).hexdigest()


def _signature(fn: WorkflowFunction) -> tuple[Any, bool]:
    if not inspect.iscoroutinefunction(fn):
        raise InvalidSetup(f"workflow {fn.__name__!r} must be declared with `async def`")
    parameters = list(inspect.signature(fn).parameters.values())
    if len(parameters) not in {1, 2}:
        raise InvalidSetup(
            f"workflow {fn.__name__!r} must take (event, step) or (event), "
            f"not {len(parameters)} parameters"
        )
    try:
        hints = get_type_hints(fn)
    except NameError as error:
        raise InvalidSetup(f"workflow {fn.__name__!r}: {error} in its annotations") from None
    return hints.get(parameters[0].name, dict[str, Any]), len(parameters) == 2  # noqa: PLR2004


__all__ = ["Workflow", "WorkflowActor", "WorkflowStep"]
