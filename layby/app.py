"""The app: what a user declares, and what it needs to exist on the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar

import msgspec

from .actors.agents.agent import Agent
from .actors.networks.network import Network
from .actors.networks.router import RoutingAgent
from .actors.people.rota_book import BUCKET as ROTA
from .actors.threads.thread import HistoryStore, checked_store
from .actors.threads.thread_nats import NatsHistory
from .actors.workflows.labelling import Labelling
from .actors.workflows.workflow import (
    Declarable,
    RunFailure,
    Workflow,
    WorkflowOptions,
    WorkflowStep,
    checked_subject,
)
from .bus import log_subject
from .bus.errors import InvalidSettings
from .bus.keyring import KeyService
from .bus.layout import bucket, erasable, streams
from .bus.names import EVENTS, OWN_WORDS, Names
from .bus.secret_store import BUCKET as KEYS
from .bus.specs import ConsumerSpec, SourceSpec, Topology
from .mailboxes import Duty, lookaheads, mailboxes, second_words, waiting_consumer
from .performers import check_tools, performers
from .runtime.ask_on_failure import AskOnFailure, policy_of
from .runtime.duration import seconds
from .runtime.errors import InvalidSetup
from .runtime.ladders import Ladders
from .runtime.price import Price
from .runtime.redaction import Redact
from .runtime.retry import Retry
from .runtime.role import Role
from .runtime.vouching import Signers
from .tools.source import ToolSource, sources

F = TypeVar("F", bound=Declarable)


class App:
    """Workflows, the networks they use, and the people who may be asked."""

    def __init__(
        self,
        name: str,
        *,
        networks: Sequence[Network[Any]] = (),
        agents: Sequence[Agent] = (),
        roles: Sequence[str | Role] = ("developer",),
        events: Sequence[str] = (),
        ask_timeout: str | float | timedelta = "4h",
        max_questions: int = 5,
        retry: Retry | None = None,
        keep: str | float | timedelta = "7d",
        retention: str | float | timedelta | None = None,
        ack_wait: str | float | timedelta | None = None,
        stream_text: bool = True,
        record_prompts: bool = True,
        prices: Mapping[str, Price] | None = None,
        concurrency: int = 64,
        history: HistoryStore | None = None,
        log_streams: int = 1,
        prefix: str = "",
        streams: Mapping[str, str] | None = None,
        encryption: KeyService | None = None,
        redact: Redact | None = None,
    ) -> None:
        """Declare an app.

        Args:
            name: What people call it.
            networks: Every network that its workflows use.
            agents: Every agent that its workflows call with `step.agent` and that is in none of
                the networks; each needs a `model` of its own.
            roles: The roles of people who may be asked, by name or as a `Role`; each is the first
                word of subjects. They replace the default: also name `developer` if it is to be
                asked.
            events: Subjects of events that workflows wait for with `step.wait_for_event`.
            ask_timeout: How long a person has to answer unless a call or tool says otherwise.
            max_questions: How many questions one run may ask; one more is refused.
            retry: How failed steps are retried unless they say otherwise.
            keep: How long a closed question is remembered, for the receipts of late answers.
            retention: How long a run is kept once it has ended; its log, its big values and what is
                left of its questions are then removed by the workers. Default: until you purge.
            ack_wait: How long a worker may be silent before its messages go to another; default
                15 s, and 10 s for messages handled in milliseconds. Set at provisioning.
            concurrency: How many messages of each workflow, network and agent a worker handles at
                the same time, unless the network or agent says otherwise; shared out equally over
                the streams of logs.
            stream_text: Stream the text of models on `events.<run>` while they write it.
            record_prompts: Record in the run's log what each model was sent, for people to read.
            prices: Prices of models in US dollars, by the models' names: lists show what runs cost.
            history: Keeps the conversations of `step.network(..., thread=...)`.
            log_streams: How many streams share the logs of runs: 1, 2, 4, 8 or 16. Use more than
                one if a stream's leader, or its disk, is the limit. Chosen when an account
                is first provisioned, and fixed from then on.
            prefix: Keeps everything that Layby creates for this app apart from other apps in the
                account: with `shop`, streams such as `SHOP_RUNS`, buckets such as
                `SHOP_parked` and subjects such as `shop.developer.response.T1`. Subjects of events
                stay as they are. Give it to clients and commands too (`LAYBY_PREFIX`). Another
                prefix later means a new app, which knows nothing of the old one's runs.
            streams: Subjects of events that are in streams Layby did not create, with the names of
                those streams: `{"orders.paid": "CORP"}`. Layby reads such a stream, through
                consumers of its own, and changes nothing in it.
            encryption: A `Keyring`, or a `KeyService` of your own, under which the logs of runs,
                their parked state, big values, threads and the free text of lists are encrypted.
                Runs that began without it stay as they are. Without its keys the data is lost.
            redact: Gets the message of an exception from your code, and returns what of it may be
                recorded, logged and shown. The values of environment variables such as `*_KEY`,
                `*_TOKEN` and `*_PASSWORD`, and logins in URLs, are replaced before that.

        Raises:
            InvalidSetup: something is declared in a way that cannot work.
        """
        self.name = name
        try:
            self.names = Names(prefix)
        except InvalidSettings as error:
            raise InvalidSetup(f"app {name!r}: {error}") from None
        self.people = _people(name, roles)
        """The roles of people who may be asked, by their names."""
        self.roles = tuple(self.people)
        self.signers = Signers(self.people.values())
        """The roles whose answers must be signed."""
        self.ladders = Ladders(self.people.values())
        """What happens while a question to one of the roles stays open."""
        self.channels = {name: r.channels for name, r in self.people.items() if r.channels}
        """Where questions are shown, by the roles that have any channel."""
        self.events = tuple(checked_subject(subject) for subject in events)
        self.ask_timeout = seconds(ask_timeout)
        self.ladders.check(self.ask_timeout)
        self.max_questions = max_questions
        self.retry = retry or Retry()
        self.keep = seconds(keep)
        self.retention = None if retention is None else seconds(retention)
        self.ack_wait = None if ack_wait is None else seconds(ack_wait)
        self.stream_text = stream_text
        self.record_prompts = record_prompts
        self.prices = dict(prices or {})
        self.concurrency = concurrency
        if concurrency < 1:
            raise InvalidSetup(f"app {name!r}: concurrency must be at least 1")
        if log_streams not in log_subject.COUNTS:
            raise InvalidSetup(f"app {name!r}: log_streams must be 1, 2, 4, 8 or 16")
        self.log_streams = log_streams
        self.encryption = encryption
        self.redact = redact
        self._streams = dict(streams or {})
        self.history = None if history is None else checked_store(history)
        self.workflows: dict[str, Workflow] = {}
        self._met: list[RoutingAgent] = []
        for subject in self.events:
            self._check_trigger(subject)
        self.networks, self.agents = performers(networks, agents)
        if len({network.name for network in networks}) < len(networks):
            raise InvalidSetup(f"app {name!r} has two networks of one name")
        self._check_roles()
        check_tools(self.agents, self.roles, name, encrypted=encryption is not None)

    def workflow(
        self,
        *,
        on: str,
        key: str,
        name: str = "",
        version: str = "",
        on_failure: Callable[[RunFailure, WorkflowStep], Awaitable[object]]
        | AskOnFailure
        | Literal["ask"]
        | None = None,
        timeout: str | float | timedelta | None = None,
        cancel_on: str = "",
        stream: str = "",
        retention: str | float | timedelta | None = None,
        subject: str = "",
        title: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Callable[[F], F]:
        """Run the decorated `async def fn(event, step)` for each event on the subject `on`.

        Args:
            on: The subject, `support.ticket.created` for instance.
            key: The event's field that is the ticket, or a path to it, `data.ticketId`.
            name: The workflow's name; default: the function's.
            version: What the run's log records of this code; default: a digest of its source.
                If it is declared again under the same name with another version, the last one is
                for new runs and the others are for runs that began in them.
            on_failure: What is done when a run fails. `ask`: a person with the role `developer` is
                asked, for 4 h, whether to retry it at the step that failed, to edit its event, to
                end it with a value, or to fail; silence fails. An `AskOnFailure` names another role
                or time. An `async def fn(failure, step)` is called, durably, before the run ends
                with the error.
            timeout: How long a run may take, without the time that people take.
            cancel_on: A subject whose events cancel the runs of the ticket in their field `key`.
            stream: The stream that has the events on `on`, if Layby did not create it; the same
                as `App(streams={on: stream})`.
            retention: How long a run is kept once it has ended; default: the app's.
            subject: The event's field that says whose data it is, or a path to it,
                `data.customerId`. With `App(encryption=...)` that person's key is needed to read
                the run, so that `layby erase APP --person` makes it unreadable. An event without
                the field is refused.
            title: The event's field that says what a run is about, or a path to it: lists show it.
            labels: The event's fields to filter lists by, or paths to them, by the labels' names:
                `{"customer": "data.customerId"}`.
        """
        if subject and self.encryption is None:
            raise InvalidSetup(
                f"workflow on {on!r}: subject={subject!r} names whose key encrypts a run, and the "
                "app is not encrypted: give it App(encryption=Keyring.from_env())"
            )
        options = WorkflowOptions(
            on_failure=on_failure if callable(on_failure) else policy_of(on_failure),
            timeout=None if timeout is None else seconds(timeout),
            cancel_on=checked_subject(cancel_on) if cancel_on else "",
            retention=None if retention is None else seconds(retention),
            subject=subject,
            labelling=Labelling(title, labels),
        )

        def declare(fn: F) -> F:
            self._read_from(on, stream)
            self._declare(Workflow(fn, on=on, key=key, name=name, version=version, options=options))
            return fn

        return declare

    def _read_from(self, subject: str, stream: str) -> None:
        """Take note of the stream that has the events on a subject."""
        if stream and self._streams.setdefault(subject, stream) != stream:
            raise InvalidSetup(
                f"app {self.name!r} reads events on {subject!r} from two streams, "
                f"{self._streams[subject]} and {stream}: a subject belongs to one"
            )

    def waiting_consumer(self, subject: str) -> str:
        """The consumer that delivers the events on a subject to the runs that wait for them."""
        return waiting_consumer(subject, self._streams, self.names)

    def stream_of(self, subject: str) -> str:
        """The stream that has the events on a subject."""
        return self._streams.get(subject) or self.names.stream(EVENTS)

    def _check_roles(self) -> None:
        for role in self.roles:
            if role in OWN_WORDS:
                raise InvalidSetup(f"subjects under {role!r} are Layby's own: rename the role")

    def _check_trigger(self, subject: str) -> None:
        own = self.names.own(subject)
        role, _, rest = own.partition(".")
        if self.prefix and own != subject and role in OWN_WORDS:
            raise InvalidSetup(
                f"subjects under '{self.prefix}.{role}' are Layby's own, as the prefix is "
                f"{self.prefix!r}: choose another for {subject!r}, or another prefix"
            )
        taken = second_words(shown=role in self.channels) if role in self.roles else ()
        if rest.partition(".")[0] in taken:
            raise InvalidSetup(
                f"{subject!r} belongs to the questions of the role {role!r}: choose another subject"
            )

    def _declare(self, workflow: Workflow) -> None:
        for subject in (workflow.on, workflow.options.cancel_on):
            self._check_trigger(subject)
        older = self.workflows.get(workflow.name)
        if older is not None:
            if workflow.version in older.versions or (older.on, older.key) != (
                workflow.on,
                workflow.key,
            ):
                raise InvalidSetup(
                    f"app {self.name!r} has two workflows named {workflow.name!r}: versions of one "
                    "need the same `on` and `key`, and each its own `version`"
                )
            workflow.versions = {**older.versions, **workflow.versions}
        elif workflow.address in {other.address for other in self.workflows.values()}:
            raise InvalidSetup(f"two workflows would share the mailbox {workflow.address!r}")
        self.workflows[workflow.name] = workflow

    def sources(self) -> list[ToolSource]:
        """The sources that the tools of its agents and routing agents come from."""
        routers = [*(network.router for network in self.networks.values()), *self._met]
        tools = [agent.tools for agent in self.agents.values()]
        tools += [router.tools for router in routers if isinstance(router, RoutingAgent)]
        return [source for each in tools for source in sources(each)]

    def meet(self, router: RoutingAgent) -> None:
        """Remember a routing agent that a network's function returned."""
        if not any(router is known for known in self._met):
            self._met.append(router)

    def topology(self) -> Topology:
        """The streams and consumers that the app needs."""
        own = [subject for subject in self.kept() if subject not in self._streams]
        needed = streams(own, self.roles, self.log_streams, self.names, self.channels)
        if self.watches:
            needed = (*needed, bucket("waits", self.names))
        if self.ladders.need_rota:
            needed = (*needed, bucket(ROTA, self.names))
        if self.encryption is not None:
            needed = (*needed, erasable(KEYS, self.names))
        if isinstance(self.history, NatsHistory):
            needed = (*needed, *self.history.streams(self.names))
        return Topology(
            streams=needed,
            consumers=(
                *(spec for spec, _ in self.mailboxes()),
                *lookaheads(self.roles, self.names),
            ),
            sources=self._sources(),
            app=self.name,
        )

    def _sources(self) -> tuple[SourceSpec, ...]:
        """The subjects read from streams that Layby did not create, with these streams."""
        awaited = self.watched()
        return tuple(
            SourceSpec(stream=self._streams[subject], subject=subject, awaited=subject in awaited)
            for subject in dict.fromkeys(self.kept())
            if subject in self._streams
        )

    def watched(self) -> set[str]:
        """The subjects of events that runs wait for or are cancelled by."""
        if not self.watches:
            return set()
        declared = {*self.events, *(w.options.cancel_on for w in self.workflows.values())}
        return {s for s in self.kept() if s not in self._streams or s in declared}

    @property
    def prefix(self) -> str:
        """The start of the names of all that Layby creates for this app; empty: none."""
        return self.names.prefix

    def kept(self) -> list[str]:
        """The subjects whose events are stored: triggers, and what workflows wait for."""
        workflows = self.workflows.values()
        cancels = [workflow.options.cancel_on for workflow in workflows]
        return [*(workflow.on for workflow in workflows), *self.events, *filter(None, cancels)]

    def retentions(self) -> dict[str, float]:
        """Seconds that ended runs are kept, by workflow; forever if a workflow is missing."""
        found = {
            name: workflow.options.retention or self.retention
            for name, workflow in self.workflows.items()
        }
        return {name: kept for name, kept in found.items() if kept is not None}

    @property
    def watches(self) -> bool:
        """Whether runs wait for events, or are cancelled by them."""
        return bool(self.events) or any(w.options.cancel_on for w in self.workflows.values())

    def mailboxes(self) -> list[tuple[ConsumerSpec, Duty]]:
        """Every consumer that the app reads, and what its messages are."""
        table = mailboxes(
            workflows=self.workflows.values(),
            performers=[*(network.address for network in self.networks.values()), *self.agents],
            roles=self.roles,
            watched=self.watched(),
            streams=self._streams,
            log_streams=self.log_streams,
            names=self.names,
            channels=self.channels,
        )
        return [(self._tuned(consumer), duty) for consumer, duty in table]

    def _tuned(self, consumer: ConsumerSpec) -> ConsumerSpec:
        """A consumer with the app's own ack wait, if it has one."""
        if self.ack_wait is None:
            return consumer
        return msgspec.structs.replace(consumer, ack_wait=self.ack_wait)


def _people(app: str, roles: Sequence[str | Role]) -> dict[str, Role]:
    """The roles by name. Raises InvalidSetup."""
    people: dict[str, Role] = {}
    for each in roles:
        role = each if isinstance(each, Role) else Role(each)
        if role.name in people:
            raise InvalidSetup(f"app {app!r} declares the role {role.name!r} twice")
        people[role.name] = role
    return people
