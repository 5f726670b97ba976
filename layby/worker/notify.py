"""Runs the channels of an app in this process: shows questions there, and takes in answers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import structlog

from ..app import App
from ..bus.opened import Bus, opened
from ..bus.settings import ConnectionSettings
from ..bus.topology import Provisioner
from ..client.desk import AnswerDesk
from ..runtime import clock, redaction, telemetry
from ..runtime.errors import InvalidSetup
from ..runtime.observing import UNOBSERVED
from .assembly import assemble
from .listening import listeners
from .worker import WorkerLost

if TYPE_CHECKING:
    from ..metrics.monitor import Monitor

log = structlog.get_logger("layby.worker")

Part: TypeAlias = Literal["send", "listen"]
"""A half of the work: to show questions, or to take in answers."""
_GRACE: Final = 20.0
_HANG_UP: Final = 5.0
"""Seconds that channels have to stop listening."""


async def run_notify(
    app: App,
    settings: ConnectionSettings,
    *,
    name: str | None = None,
    only: Part | None = None,
    ready: asyncio.Event | None = None,
    monitor: Monitor | None = None,
) -> None:
    """Show questions on the app's channels and take in answers, until SIGTERM or SIGINT.

    Args:
        app: The app.
        settings: Where and how to connect.
        name: A name for the logs.
        only: Only one of the two: a bridge's login may only `listen`.
        ready: Is set once it works.
        monitor: Measures it; None: nothing does.

    Raises:
        InvalidSetup: the app has no channels, or none on which people answer if it is to listen.
        ServerUnavailable: no server answers.
        WorkerLost: the connection was closed for good, or a part kept dying.
    """
    if name:
        structlog.contextvars.bind_contextvars(worker=name)
    if not any(role.channels for role in app.people.values()):
        raise InvalidSetup(
            f"the app {app.name!r} has no channels: give a role some, Role(..., channels=[...])"
        )
    stopped, lost = asyncio.Event(), list[bool]()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    def give_up() -> None:
        lost.append(True)
        stopped.set()

    if not structlog.is_configured():
        telemetry.configure()
    async with opened(settings, prefix=app.prefix, patient=True, keyring=app.encryption) as bus:
        bus.connection.on_closed.append(give_up)
        async with notifying(app, bus, only=only, on_give_up=give_up, monitor=monitor):
            if ready is not None:
                ready.set()
            await stopped.wait()
            if lost:
                raise WorkerLost("layby notify cannot go on: its log says why. Start it again")


@asynccontextmanager
async def notifying(
    app: App,
    bus: Bus,
    *,
    only: Part | None = None,
    on_give_up: Callable[[], None],
    monitor: Monitor | None = None,
) -> AsyncGenerator[None]:
    """Show questions and take in answers while the block is open."""
    connection, requests = bus
    redaction.use(app.redact)
    if requests.vault is not None:
        await requests.vault.check()
    await clock.sync(requests)
    heard = [] if only == "send" else listeners(app, AnswerDesk(connection, requests, app.signers))
    if only == "listen" and not heard:
        raise InvalidSetup(
            f"no channel of the app {app.name!r} can listen here: see the log for what it lacks"
        )
    worker = None
    if only != "listen":
        await Provisioner(requests).ensure(app.topology())
        observer = UNOBSERVED if monitor is None else monitor.work
        worker = assemble(app, connection, requests, observer=observer, only_shows=True)
        worker.on_give_up.append(on_give_up)
    if monitor is not None:
        monitor.watch(connection, worker, heard)
    if worker is not None:
        await worker.start()
    tasks = [asyncio.ensure_future(each.run()) for each in heard]
    log.info("notify.ready", listening=len(heard), sending=worker.mailboxes if worker else 0)
    try:
        yield
    finally:
        await _hang_up(tasks)
        if worker is not None:
            await worker.drain(_GRACE)


async def _hang_up(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Stop listening; a channel that does not stop in time is left behind."""
    for task in tasks:
        task.cancel()
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=_HANG_UP)
        if pending:
            log.warning("notify.abandoned", channels=len(pending))
