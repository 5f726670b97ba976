"""Assembles a worker from what an app declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from ..actors.agents.actor import AgentActor
from ..actors.kinds import human_address
from ..actors.networks.supervisor import Supervisor
from ..actors.people.duty import Duties
from ..actors.people.early_answers import lookahead_consumer
from ..actors.people.human import Human
from ..actors.people.notices import Notices
from ..actors.people.open_questions import BUCKET as QUESTIONS
from ..actors.people.open_questions import OpenQuestions
from ..actors.people.rota_book import RotaBook
from ..actors.people.tickets import Tickets
from ..actors.people.unserved import CardWatch, Unserved
from ..actors.threads.thread import HistoryStore
from ..actors.threads.thread_nats import NatsHistory
from ..actors.workflows.children import ChildRuns
from ..actors.workflows.event_waits import WaitActor
from ..actors.workflows.workflow import WorkflowActor
from ..app import App
from ..bus.blobs import Blobs
from ..bus.bucket import Bucket
from ..bus.connection import Connection
from ..bus.dead import DeadLetters
from ..bus.events import Events
from ..bus.log import Log
from ..bus.mailbox import Delivery
from ..bus.opened import Bus
from ..bus.outbox import Outbox
from ..bus.requests import Requests
from ..bus.sealing import Sealing
from ..bus.specs import ConsumerSpec
from ..bus.timers import Timers
from ..mailboxes import Duty
from ..operations.erasing import Remains
from ..operations.rearming import MISSING
from ..runtime import clock, redaction, tracing
from ..runtime.adoption import BLOCKED, Adopter
from ..runtime.behaviour import Behaviour
from ..runtime.delivery_policy import PoisonMessage
from ..runtime.due_handler import DueHandler
from ..runtime.envelope import UNREADABLE
from ..runtime.host import Host
from ..runtime.index import BUCKET as RUNS
from ..runtime.index import LATER, Index
from ..runtime.observing import UNOBSERVED, Observer
from ..runtime.ports import Due, Ports
from ..runtime.redelivery import RedeliveryHorizon
from ..runtime.streaming import TextStreams
from ..runtime.tracing import UNTRACED, Tracer
from ..runtime.worker import CANCEL, Handle, Subscription, Worker
from ..views.workers import NOTIFIER, WORKER
from .command_handlers import command_handler
from .fingerprint import fingerprint, fitting
from .heartbeat import Heartbeat
from .missing_timers import MissingTimers
from .notifying import Notifiers, on_held
from .retention import Retention

_CALLS = 16
"""Cards of one role that are sent to one channel at the same time."""


def _encrypted(vault: Sealing | None) -> Callable[[str], Awaitable[bool]] | None:
    """A function that says whether a run is encrypted; None: no run is."""
    if vault is None:
        return None

    async def encrypted(run: str) -> bool:
        return await vault.of_run(run) is not None

    return encrypted


def _history(app: App, requests: Requests) -> HistoryStore | None:
    kept = app.history
    return kept.over(requests) if isinstance(kept, NatsHistory) else kept


def assemble(
    app: App,
    connection: Connection,
    requests: Requests,
    *,
    listed_after: float = LATER,
    observer: Observer = UNOBSERVED,
    tracer: Tracer = UNTRACED,
    only_shows: bool = False,
) -> Worker:
    """A worker with the app's actors behind their mailboxes.

    Args:
        app: The app.
        connection: Its connection.
        requests: What runs over it.
        listed_after: Seconds that a run must have lasted to be listed.
        observer: Is told what happens.
        tracer: Makes spans of it.
        only_shows: Whether it only shows questions on channels, and leaves all else to others.
    """
    names = requests.names
    redaction.use(app.redact)
    timers = Timers(requests)
    outbox = Outbox(requests)

    async def publish(subject: str, body: bytes, event_id: str) -> None:
        await outbox.store(subject, body, {"Nats-Msg-Id": event_id, **tracing.headers()})

    def send_text(subject: str, body: bytes) -> None:
        place, run, vault = names.subject(subject), subject.rpartition(".")[2], requests.vault
        sent = body if vault is None else vault.sealed_now(run, body, place)
        if sent is not None:  # rather a gap than plain text of a run that may be encrypted
            connection.nc.send(place, sent)

    async def announce_end(run: str) -> None:
        await requests.publish(names.subject(f"{CANCEL}.{run}"))

    async def announce_blocked(run: str) -> None:
        await requests.publish(names.subject(f"{BLOCKED}.{run}"))

    ports = Ports(
        announce_end=announce_end,
        announce_blocked=announce_blocked,
        fingerprint=fingerprint(app),
        timers=timers,
        blobs=Blobs(requests),
        publish=publish,
        ask_timeout=app.ask_timeout,
        max_questions=app.max_questions,
        roles=app.roles,
        people={role.name: role.people for role in app.people.values() if role.people},
        signers=app.signers,
        ladders=app.ladders,
        stopping=frozenset(role.name for role in app.people.values() if role.clock_stops),
        role_address=human_address,
        actors=frozenset([*(network.address for network in app.networks.values()), *app.agents]),
        retry=app.retry,
        record_prompts=app.record_prompts,
        prices=app.prices,
        observer=observer,
        tracer=tracer,
        encrypted=_encrypted(requests.vault),
        history=_history(app, requests),
        text_streams=TextStreams(send_text) if app.stream_text else None,
    )
    host = Host(
        log_=Log(requests, app.log_streams),
        index=Index(Bucket(requests, RUNS), listed_after),
        blocked=Bucket(requests, "blocked"),
        dead=DeadLetters(requests),
        horizon=RedeliveryHorizon(requests),
        ports=ports,
    )
    tickets = Tickets(Bucket(requests, "parked"), app.keep, host.cache)
    host.forgetters.append(tickets.forget)
    listed = OpenQuestions(Bucket(requests, QUESTIONS), host.index)
    duties = Duties(RotaBook(requests))
    notices = Notices(requests, app.channels)
    watch = CardWatch(timers, app.people)

    def person(role: str) -> Human:
        return Human(
            role,
            host,
            tickets=tickets,
            listed=listed,
            requests=requests,
            timers=timers,
            duties=duties,
            notices=notices,
            watch=watch,
        )

    humans = {role: person(role) for role in app.roles}
    children = ChildRuns(app.workflows, host)
    host.tidiers += [human.tidy for human in humans.values()]
    host.tidiers.append(children.tidy)
    ports.children = children
    if app.channels:
        host.tidiers.append(notices.ended)

    def human(role: str) -> Human:
        return humans.get(role) or person(role)

    waits = _waits(app, host, requests)
    shows = Notifiers(host, requests, timers, listed).handlers(app.people.values(), human)
    unserved = Unserved(
        host,
        tickets,
        listed=listed,
        dead=DeadLetters(requests),
        watch=watch,
        rungs=lambda role: human(role).rungs,
    )
    services = {
        **_performers(app, host),
        **_people(humans),
        Duty("due"): _Service(_on_due(host, human, MissingTimers(app, host, human))),
        Duty("rungs"): _Service(_on_rung(human, observer)),
        Duty("held"): _Service(on_held(notices, unserved, partial(_due_in, observer=observer))),
        **{duty: _Service(show, _CALLS) for duty, show in shows.items()},
        Duty("commands"): _Service(command_handler(app, host, requests, waits)),
    }
    if waits is not None:
        ports.events = waits
        host.tidiers.append(waits.tidy)
        services[Duty("waits")] = _Service(waits.event)
    host.policy.on_erased.append(Remains(requests, host.cache.drop).clear)
    bus = Bus(connection, requests)
    return _worker(app, bus, host, services, humans, only_shows=only_shows)


def _worker(
    app: App,
    bus: Bus,
    host: Host,
    services: Mapping[Duty, _Service],
    humans: Mapping[str, Human],
    *,
    only_shows: bool,
) -> Worker:
    """A worker with these services."""
    connection, requests = bus
    release = host.ports.fingerprint
    if only_shows:
        services = {duty: each for duty, each in services.items() if duty.kind == "cards"}
    adopter = None if only_shows else Adopter(host.cache, host.blocked, release, fitting(app))
    subscriptions = _subscriptions(app, services, only_shows=only_shows)
    worker = Worker(connection, requests, host, subscriptions, adopter)
    kind = NOTIFIER if only_shows else WORKER
    beat = Heartbeat(worker, connection.nc, requests, app=app.name, fingerprint=release, kind=kind)
    worker.background["heartbeat"] = beat.run
    worker.background["clock"] = partial(clock.keep_in_sync, requests)
    if only_shows:
        return worker
    worker.background |= {
        lookahead_consumer(role): each.look_ahead for role, each in humans.items()
    }
    if kept := app.retentions():
        worker.background["retention"] = Retention(requests, kept).run
    return worker


def _waits(app: App, host: Host, requests: Requests) -> WaitActor | None:
    """Hands events to the runs that wait for them; None: no run of the app waits for any."""
    if not app.watches:
        return None

    def events(subject: str) -> Events:
        return Events(requests, app.stream_of(subject), app.waiting_consumer(subject))

    return WaitActor(frozenset(app.watched()), Bucket(requests, "waits"), events, host)


class _Service(NamedTuple):
    """A handler of a duty's messages."""

    handle: Handle
    concurrency: int = 64


def _subscriptions(
    app: App, services: Mapping[Duty, _Service], *, only_shows: bool
) -> list[Subscription]:
    """A subscription for each of these duties, with all its consumers in the app's table."""
    consumers: dict[Duty, list[ConsumerSpec]] = {}
    for consumer, duty in app.mailboxes():
        if duty.kind == "cards" and duty not in services:
            continue  # its channel lacks something in this process
        if duty in services or not only_shows:
            consumers.setdefault(duty, []).append(consumer)
    return [
        Subscription(
            consumers=tuple(found),
            handle=services[duty].handle,
            concurrency=services[duty].concurrency,
        )
        for duty, found in consumers.items()
    ]


def _performers(app: App, host: Host) -> dict[Duty, _Service]:
    """Workflows, networks and agents."""
    services: dict[Duty, _Service] = {}
    for workflow in app.workflows.values():
        actor = WorkflowActor(workflow, host)
        services[Duty("events", workflow.name)] = _Service(actor.event, app.concurrency)
        services |= _mail(host, workflow, app.concurrency)
    actors: list[Supervisor | AgentActor] = [
        Supervisor(each, app.meet) for each in app.networks.values()
    ]
    actors += [AgentActor(agent, app.networks) for agent in app.agents.values()]
    for each in actors:
        services |= _mail(host, each, each.concurrency or app.concurrency)
    return services


def _people(humans: dict[str, Human]) -> dict[Duty, _Service]:
    services: dict[Duty, _Service] = {}
    for role, human in humans.items():
        services[Duty("mail", human.address)] = _Service(human.mail)
        services[Duty("answers", role)] = _Service(human.answer)
        services[Duty("acts", role)] = _Service(human.act)
    return services


def _mail(host: Host, behaviour: Behaviour, concurrency: int) -> dict[Duty, _Service]:
    async def handle(delivery: Delivery) -> None:
        await host.handle_mail(behaviour, delivery)

    return {Duty("mail", behaviour.address): _Service(handle, concurrency)}


def _due_in(delivery: Delivery, observer: Observer) -> Due:
    """What a wake-up says is due. Raises PoisonMessage."""
    try:
        due = _read_due(delivery.data)
    except UNREADABLE as error:
        raise PoisonMessage(f"the timer's message cannot be read: {error}") from None
    if delivery.num_delivered == 1:
        observer.due(due.kind, clock.now() - due.at)
    return due


_read_due = msgspec.json.Decoder(Due).decode


def _on_rung(human: Callable[[str], Human], observer: Observer) -> Handle:
    """A handler of rungs that are due, of any app in the account."""

    async def handle(delivery: Delivery) -> None:
        wanted = _due_in(delivery, observer)
        await human(wanted.role).rung(wanted, delivery)

    return handle


def _on_due(host: Host, human: Callable[[str], Human], missing: MissingTimers) -> Handle:
    """A handler of due timers, of any app in the account: the run's log says what each means."""
    dues = DueHandler(host)

    async def handle(delivery: Delivery) -> None:
        wanted = _due_in(delivery, host.ports.observer)
        if wanted.kind == "wake":
            await dues.wake_up(wanted, delivery)
        elif wanted.kind == "run":
            await dues.time_limit(wanted, delivery)
        elif wanted.kind == MISSING:
            await missing.arm(wanted, delivery)
        else:
            await human(wanted.role).due(wanted, delivery)

    return handle
