"""Runs an app's worker in this process."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import signal
from collections.abc import AsyncGenerator, Callable

import msgspec
import structlog

from .actors.children import ChildRuns
from .actors.human import Human
from .actors.kinds import human_address
from .actors.loop import AgentActor
from .actors.parked import Parking
from .actors.supervisor import Supervisor
from .actors.thread import HistoryStore
from .actors.thread_nats import NatsHistory
from .actors.waits import WaitActor
from .actors.workflow import WorkflowActor
from .app import App, all_events, answers_of, due, events_of
from .bus.blobs import Blobs
from .bus.bucket import Bucket
from .bus.connection import Connection
from .bus.dead import DeadLetters
from .bus.errors import LaybyError
from .bus.log import Log
from .bus.mailbox import Delivery
from .bus.opened import Bus, opened
from .bus.requests import Requests
from .bus.settings import ConnectionSettings
from .bus.timers import Timers
from .bus.topology import Provisioner
from .rows import Finding
from .runtime import telemetry
from .runtime.doubt import Doubt
from .runtime.errors import InvalidSetup
from .runtime.guard import Hopeless
from .runtime.host import Behaviour, Host
from .runtime.services import Due, Services
from .runtime.speech import Stage
from .runtime.worker import CANCEL, Handle, Post, Worker
from .tools.source import close

log = structlog.get_logger("layby.worker")

_GRACE = 20.0


class WorkerLost(LaybyError):
    """The connection was closed for good, or a part of the worker kept dying."""


@contextlib.asynccontextmanager
async def working(app: App, settings: ConnectionSettings) -> AsyncGenerator[Worker]:
    """A worker for `app`, taking work while the block is open and drained at its end."""
    async with _bus_of(app, settings) as (connection, requests):
        await Provisioner(requests).ensure(app.topology())
        worker = assemble(app, connection, requests)
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
        await Provisioner(requests).ensure(app.topology())
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


def _settle_memory() -> None:
    """Collect cycles less often: a worker makes tasks and futures by the thousand, hardly a cycle.

    Measured: a quarter of a busy worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def provision(app: App, settings: ConnectionSettings, *, replicas: int = 1) -> list[Finding]:
    """Create or verify everything that `app` needs on the server, in `replicas` copies."""
    async with opened(settings) as (_, requests):
        changes = await Provisioner(requests, replicas=replicas).ensure(app.topology())
    if not changes:
        return [Finding(level="ok", subject=app.name, message="everything is there already")]
    return [Finding(level="ok", subject=app.name, message=change) for change in changes]


async def erase_thread(app: App, settings: ConnectionSettings, thread: str) -> int:
    """Forget a thread that `app` keeps, for good and wherever it is; how many entries it had.

    For scripts: it opens and closes connections of its own.

    Raises:
        InvalidSetup: the app keeps no threads.
        InvalidTicket: no thread can have that name.
        PermissionDenied: `settings` lead to a user who may not purge the stream THREADS.
    """
    store = app.history
    if store is None:
        raise InvalidSetup(f"app {app.name!r} keeps no threads: it has no history=")
    if isinstance(store, NatsHistory):
        async with opened(settings) as (_, requests):
            return await store.over(requests).erase(thread)
    try:
        return await store.erase(thread)
    finally:
        await store.aclose()


@contextlib.asynccontextmanager
async def _bus_of(app: App, settings: ConnectionSettings) -> AsyncGenerator[Bus]:
    """The bus of a worker for `app`; what its tools and threads hold is released at the end."""
    if not structlog.is_configured():
        telemetry.configure()  # structlog's own choice prints variables, and keys with them
    try:
        async with opened(settings, patient=True) as bus:
            yield bus
    finally:
        await close(app.sources())
        if app.history is not None:
            await app.history.aclose()


def _history(app: App, requests: Requests) -> HistoryStore | None:
    kept = app.history
    return kept.over(requests) if isinstance(kept, NatsHistory) else kept


def assemble(app: App, connection: Connection, requests: Requests) -> Worker:
    """Put an app's actors behind their mailboxes."""
    timers = Timers(requests)

    async def publish(subject: str, body: bytes, event_id: str) -> None:
        await requests.store(subject, body, {"Nats-Msg-Id": event_id})

    async def announce_end(run: str) -> None:
        await requests.tell(f"{CANCEL}.{run}")

    services = Services(
        announce_end=announce_end,
        timers=timers,
        blobs=Blobs(requests),
        publish=publish,
        ask_timeout=app.ask_timeout,
        max_questions=app.max_questions,
        roles=app.roles,
        role_address=human_address,
        actors=frozenset([*(network.address for network in app.networks.values()), *app.agents]),
        retry=app.retry,
        history=_history(app, requests),
        stage=Stage(connection.nc.send) if app.stream_text else None,
    )
    host = Host(
        log_=Log(requests, app.log_streams),
        runs=Bucket(requests, "runs"),
        dead=DeadLetters(requests),
        doubt=Doubt(requests),
        services=services,
    )
    parking = Parking(Bucket(requests, "parked"), app.keep)
    humans = {role: Human(role, host, parking, requests, timers) for role in app.roles}
    children = ChildRuns(app.workflows, host)
    host.tidiers += [human.tidy for human in humans.values()]
    host.tidiers.append(children.tidy)
    services.children = children
    posts = [*_workflows(app, host), *_networks(app, host), *_people(app, humans)]
    if app.watches:
        waits = WaitActor(frozenset(app.kept()), Bucket(requests, "waits"), requests, host)
        services.events = waits
        host.tidiers.append(waits.tidy)
        posts.append(Post(consumers=(all_events(),), handle=waits.event))

    def human(role: str) -> Human:
        return humans.get(role) or Human(role, host, parking, requests, timers)

    posts.append(Post(consumers=(due(),), handle=_on_due(host, human)))
    tuned = [
        dataclasses.replace(post, consumers=tuple(app.tuned(each) for each in post.consumers))
        for post in posts
    ]
    return Worker(connection, requests, host, tuned)


def _workflows(app: App, host: Host) -> list[Post]:
    posts: list[Post] = []
    for workflow in app.workflows.values():
        actor = WorkflowActor(workflow, host)
        events = (events_of(workflow),)
        posts.append(Post(consumers=events, handle=actor.event, concurrency=app.concurrency))
        posts.append(_mail(app, host, workflow, app.concurrency))
    return posts


def _networks(app: App, host: Host) -> list[Post]:
    actors: list[Supervisor | AgentActor] = [
        Supervisor(each, app.meet) for each in app.networks.values()
    ]
    actors += [AgentActor(agent, app.networks) for agent in app.agents.values()]
    return [_mail(app, host, actor, actor.concurrency or app.concurrency) for actor in actors]


def _people(app: App, humans: dict[str, Human]) -> list[Post]:
    posts: list[Post] = []
    for role, human in humans.items():
        posts.append(Post(consumers=app.mail_of(human.address), handle=human.mail))
        posts.append(Post(consumers=(answers_of(role),), handle=human.answer))
    return posts


def _mail(app: App, host: Host, behaviour: Behaviour, concurrency: int) -> Post:
    async def handle(delivery: Delivery) -> None:
        await host.mail(behaviour, delivery)

    consumers = app.mail_of(behaviour.address)
    return Post(consumers=consumers, handle=handle, concurrency=concurrency)


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
