"""Runs an app's worker in this process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from . import unread
from .actors.children import ChildRuns
from .actors.human import Human
from .actors.kinds import human_address
from .actors.loop import AgentActor
from .actors.migration import Migration
from .actors.open_questions import BUCKET as QUESTIONS
from .actors.open_questions import OpenQuestions
from .actors.parked import Parking
from .actors.supervisor import Supervisor
from .actors.thread import HistoryStore
from .actors.thread_nats import NatsHistory
from .actors.waits import WaitActor
from .actors.workflow import WorkflowActor
from .app import App
from .bus.blobs import Blobs
from .bus.bucket import Bucket
from .bus.connection import Connection
from .bus.dead import DeadLetters
from .bus.errors import LaybyError
from .bus.events import Events
from .bus.log import Log
from .bus.mailbox import Delivery
from .bus.opened import Bus, opened
from .bus.requests import Requests
from .bus.settings import ConnectionSettings
from .bus.timers import Timers
from .bus.topology import ConsumerSpec, Provisioner
from .client import Client
from .deeds import obeying
from .erasing import Remains
from .fingerprint import fingerprint, fitting
from .mailboxes import Duty
from .retention import Retention
from .rows import Finding
from .runtime import clock, redaction, telemetry
from .runtime.behaviour import Behaviour
from .runtime.doubt import Doubt
from .runtime.errors import InvalidSetup
from .runtime.guard import Hopeless
from .runtime.host import Host
from .runtime.index import BUCKET as RUNS
from .runtime.index import LATER, Index
from .runtime.services import Due, Services
from .runtime.speech import Stage
from .runtime.taking_up import BLOCKED, TakingUp
from .runtime.worker import CANCEL, Handle, Post, Worker
from .tools.source import close

log = structlog.get_logger("layby.worker")

_GRACE = 20.0


class WorkerLost(LaybyError):
    """The connection was closed for good, or a part of the worker kept dying."""


@contextlib.asynccontextmanager
async def working(
    app: App, settings: ConnectionSettings, *, listed_after: float = LATER
) -> AsyncGenerator[Worker]:
    """A worker for `app`, taking work while the block is open and drained at its end.

    `listed_after` seconds lists show what has just begun; tests do not wait for that.
    """
    async with _bus_of(app, settings) as (connection, requests):
        await _prepare(app, requests)
        worker = assemble(app, connection, requests, listed_after=listed_after)
        await worker.start()
        try:
            yield worker
        finally:
            await worker.drain(_GRACE)


async def run_worker(
    app: App,
    settings: ConnectionSettings,
    *,
    name: str | None = None,
    ready: asyncio.Event | None = None,
) -> None:
    """Work for `app` until SIGTERM or SIGINT, then drain.

    Raises:
        ServerUnavailable: no server answers.
        WorkerLost: the connection was given up for good, or a part of the worker kept dying.
    """
    if name:
        structlog.contextvars.bind_contextvars(worker=name)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    lost: list[bool] = []
    async with _bus_of(app, settings) as (connection, requests):

        def give_up() -> None:
            lost.append(True)
            stopped.set()

        connection.on_closed.append(give_up)
        await _prepare(app, requests)
        worker = assemble(app, connection, requests)
        worker.on_give_up.append(give_up)
        await worker.start()
        _settle_memory()
        if ready is not None:
            ready.set()
        await stopped.wait()
        if lost:
            raise WorkerLost("the worker cannot go on: its log says why; start it anew")
        await worker.drain(_GRACE)


async def _prepare(app: App, requests: Requests) -> None:
    """Make ready for work, or say why it cannot begin."""
    await Provisioner(requests).ensure(app.topology())
    if requests.vault is not None:
        await requests.vault.check()
    await Migration(requests).run()
    await unread.tell(requests, app.mailboxes())
    await clock.correct(requests)


def _settle_memory() -> None:
    """Collect cycles less often: a worker makes tasks and futures by the thousand, hardly a cycle.

    Measured: a quarter of a busy worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def provision(
    app: App,
    settings: ConnectionSettings,
    *,
    replicas: int | None = None,
    limits: bool = False,
) -> list[Finding]:
    """Create or verify everything that `app` needs on the server.

    Args:
        app: The app.
        settings: Where and how to connect, as a user who may create streams.
        replicas: How many copies each stream has from now on, those that exist too. None: one copy
            of a new stream, and whatever an existing one has.
        limits: Give existing streams the byte limits that new ones have, where they have none.

    Raises:
        TopologyMismatch: something exists in a form that will not do, or cannot have so many
            copies.
        PermissionDenied: this user may not create, or change, what is needed.
    """
    async with opened(settings, prefix=app.prefix) as (_, requests):
        changes = await Provisioner(requests, replicas=replicas, limits=limits).ensure(
            app.topology()
        )
    if not changes:
        return [Finding(level="ok", subject=app.name, message="everything is there already")]
    return [Finding(level="ok", subject=app.name, message=change) for change in changes]


async def erase_thread(app: App, settings: ConnectionSettings, thread: str) -> int:
    """Have a thread that `app` keeps forgotten for good, wherever it is; how many entries it had.

    For scripts: it opens and closes a connection of its own. See `Client.erase`.

    Raises:
        InvalidSetup: the app keeps no threads.
        InvalidTicket: no thread can have that name.
        NotDoneYet: no worker of the app is up; it is stored, and is done when one starts.
        PermissionDenied: `settings` lead to a user who may not erase threads.
    """
    if app.history is None:
        raise InvalidSetup(f"app {app.name!r} keeps no threads: it has no history=")
    async with Client.connect(settings, prefix=app.prefix) as client:
        return await client.erase(app.name, thread)


@contextlib.asynccontextmanager
async def _bus_of(app: App, settings: ConnectionSettings) -> AsyncGenerator[Bus]:
    """The bus of a worker for `app`; what its tools and threads hold is released at the end."""
    if not structlog.is_configured():
        telemetry.configure()  # structlog's own choice prints variables, and keys with them
    try:
        async with opened(settings, prefix=app.prefix, patient=True, keyring=app.encryption) as bus:
            yield bus
    finally:
        await close(app.sources())
        if app.history is not None:
            await app.history.aclose()


def _history(app: App, requests: Requests) -> HistoryStore | None:
    kept = app.history
    return kept.over(requests) if isinstance(kept, NatsHistory) else kept


def assemble(
    app: App, connection: Connection, requests: Requests, *, listed_after: float = LATER
) -> Worker:
    """Put an app's actors behind their mailboxes."""
    names = requests.names
    redaction.use(app.redact)
    timers = Timers(requests)

    async def publish(subject: str, body: bytes, event_id: str) -> None:
        await requests.store(subject, body, {"Nats-Msg-Id": event_id})

    def tell(subject: str, body: bytes) -> None:
        place, run = names.subject(subject), subject.rpartition(".")[2]
        cipher = requests.vault.at_hand(run) if requests.vault is not None else None
        connection.nc.send(place, cipher.seal(body, place) if cipher is not None else body)

    async def announce_end(run: str) -> None:
        await requests.tell(names.subject(f"{CANCEL}.{run}"))

    async def announce_blocked(run: str) -> None:
        await requests.tell(names.subject(f"{BLOCKED}.{run}"))

    release = fingerprint(app)
    services = Services(
        announce_end=announce_end,
        announce_blocked=announce_blocked,
        fingerprint=release,
        timers=timers,
        blobs=Blobs(requests),
        publish=publish,
        ask_timeout=app.ask_timeout,
        max_questions=app.max_questions,
        roles=app.roles,
        signers=app.signers,
        role_address=human_address,
        actors=frozenset([*(network.address for network in app.networks.values()), *app.agents]),
        retry=app.retry,
        history=_history(app, requests),
        stage=Stage(tell) if app.stream_text else None,
    )
    host = Host(
        log_=Log(requests, app.log_streams),
        index=Index(Bucket(requests, RUNS), listed_after),
        blocked=Bucket(requests, "blocked"),
        dead=DeadLetters(requests),
        doubt=Doubt(requests),
        services=services,
    )
    parking = Parking(Bucket(requests, "parked"), app.keep)
    host.forgetters.append(parking.forget)
    listed = OpenQuestions(Bucket(requests, QUESTIONS), host.index)

    def person(role: str) -> Human:
        return Human(role, host, parking=parking, listed=listed, requests=requests, timers=timers)

    humans = {role: person(role) for role in app.roles}
    children = ChildRuns(app.workflows, host)
    host.tidiers += [human.tidy for human in humans.values()]
    host.tidiers.append(children.tidy)
    services.children = children

    def human(role: str) -> Human:
        return humans.get(role) or person(role)

    served = {
        **_performers(app, host),
        **_people(humans),
        Duty("due"): _Served(_on_due(host, human)),
        Duty("commands"): _Served(obeying(app, host, requests)),
    }
    if app.watches:

        def events(subject: str) -> Events:
            return Events(requests, app.stream_of(subject), app.waiting_consumer(subject))

        waits = WaitActor(frozenset(app.watched()), Bucket(requests, "waits"), events, host)
        services.events = waits
        host.tidiers.append(waits.tidy)
        served[Duty("waits")] = _Served(waits.event)
    host.guard.on_erased.append(Remains(requests, host.cache.drop).clear)
    taking_up = TakingUp(host.cache, host.blocked, release, fitting(app))
    worker = Worker(connection, requests, host, _posts(app, served), taking_up)
    worker.beside["clock"] = partial(clock.keep, requests)
    if kept := app.retentions():
        worker.beside["retention"] = Retention(requests, kept).run
    return worker


class _Served(NamedTuple):
    """Who handles the messages of a duty."""

    handle: Handle
    concurrency: int = 64


def _posts(app: App, served: Mapping[Duty, _Served]) -> list[Post]:
    """A post for each duty in the app's table of mailboxes, with all its consumers."""
    consumers: dict[Duty, list[ConsumerSpec]] = {}
    for consumer, duty in app.mailboxes():
        consumers.setdefault(duty, []).append(consumer)
    return [
        Post(
            consumers=tuple(found),
            handle=served[duty].handle,
            concurrency=served[duty].concurrency,
        )
        for duty, found in consumers.items()
    ]


def _performers(app: App, host: Host) -> dict[Duty, _Served]:
    """Workflows, networks and agents."""
    served: dict[Duty, _Served] = {}
    for workflow in app.workflows.values():
        actor = WorkflowActor(workflow, host)
        served[Duty("events", workflow.name)] = _Served(actor.event, app.concurrency)
        served |= _mail(host, workflow, app.concurrency)
    actors: list[Supervisor | AgentActor] = [
        Supervisor(each, app.meet) for each in app.networks.values()
    ]
    actors += [AgentActor(agent, app.networks) for agent in app.agents.values()]
    for each in actors:
        served |= _mail(host, each, each.concurrency or app.concurrency)
    return served


def _people(humans: dict[str, Human]) -> dict[Duty, _Served]:
    served: dict[Duty, _Served] = {}
    for role, human in humans.items():
        served[Duty("mail", human.address)] = _Served(human.mail)
        served[Duty("answers", role)] = _Served(human.answer)
    return served


def _mail(host: Host, behaviour: Behaviour, concurrency: int) -> dict[Duty, _Served]:
    async def handle(delivery: Delivery) -> None:
        await host.mail(behaviour, delivery)

    return {Duty("mail", behaviour.address): _Served(handle, concurrency)}


def _on_due(host: Host, human: Callable[[str], Human]) -> Handle:
    """Handle what is due, of whichever app of the account: what it means is in the run's log."""
    decode = msgspec.json.Decoder(Due).decode

    async def handle(delivery: Delivery) -> None:
        try:
            wanted = decode(delivery.data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise Hopeless(f"a wake-up that nobody here has armed: {error}") from None
        if wanted.kind == "wake":
            await host.woken(wanted, delivery)
        elif wanted.kind == "run":
            await host.limited(wanted, delivery)
        else:
            await human(wanted.role).due(wanted, delivery)

    return handle
