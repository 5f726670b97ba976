"""Runs an app's worker in this process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import structlog

from ..actors.people.migration import Migration
from ..app import App
from ..bus.errors import LaybyError
from ..bus.opened import Bus, opened
from ..bus.pruning import Prune
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from ..bus.topology import Provisioner
from ..health import unread
from ..operations.declaring import declare
from ..runtime import clock, telemetry
from ..runtime.index import LATER
from ..runtime.observing import UNOBSERVED
from ..runtime.worker import Worker
from ..tools.source import close
from .assembly import assemble
from .fingerprint import fingerprint
from .traced import traced

if TYPE_CHECKING:
    from ..metrics.monitor import Monitor

log = structlog.get_logger("layby.worker")

_GRACE = 20.0
_CONFIRM_WITHIN = 3.0
"""Seconds without an acknowledgement after which it is looked up whether a message was stored. What
goes to a leader that hangs is lost; to wait less would send more to a server that is only slow."""


class WorkerLost(LaybyError):
    """The connection was closed for good, or a part of the worker kept dying."""


@contextlib.asynccontextmanager
async def working(
    app: App, settings: ConnectionSettings, *, listed_after: float = LATER
) -> AsyncGenerator[Worker]:
    """A worker for `app`, taking work while the block is open and drained at its end.

    Lists show a run once it has lasted `listed_after` seconds; tests do not wait for that.
    """
    async with _bus_of(app, settings) as (connection, requests), traced(app) as tracer:
        await _prepare(app, requests)
        worker = assemble(app, connection, requests, listed_after=listed_after, tracer=tracer)
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
    prune: Prune | None = None,
    monitor: Monitor | None = None,
) -> None:
    """Work for `app` until SIGTERM or SIGINT, then drain.

    Args:
        app: The app.
        settings: Where and how to connect.
        name: A name for the logs.
        ready: Is set once it takes work.
        prune: What becomes of subjects and consumers that the app no longer declares; None: they
            stay, because workers of the previous release may still run.
        monitor: Measures the worker; None: nothing does.

    Raises:
        ServerUnavailable: no server answers.
        WorkerLost: the connection was closed for good, or a part of the worker kept dying.
    """
    if name:
        structlog.contextvars.bind_contextvars(worker=name)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    lost: list[bool] = []
    async with _bus_of(app, settings) as (connection, requests), traced(app) as tracer:

        def give_up() -> None:
            lost.append(True)
            stopped.set()

        connection.on_closed.append(give_up)
        await _prepare(app, requests, prune)
        observer = UNOBSERVED if monitor is None else monitor.work
        worker = assemble(app, connection, requests, observer=observer, tracer=tracer)
        worker.on_give_up.append(give_up)
        if monitor is not None:
            monitor.watch(connection, worker)
        await worker.start()
        _settle_memory()
        if ready is not None:
            ready.set()
        await stopped.wait()
        if lost:
            raise WorkerLost("the worker cannot go on: its log says why. Start it again")
        await worker.drain(_GRACE)


async def _prepare(app: App, requests: Requests, prune: Prune | None = None) -> None:
    """Get ready for work. Raises LaybyError if the worker cannot start."""
    provisioner = Provisioner(requests, prune=prune)
    await provisioner.ensure(app.topology())
    for change in provisioner.pruned:
        log.info("provision.pruned", change=change)
    if requests.vault is not None:
        await requests.vault.check()
    await Migration(requests).run()
    await declare(app, requests, fingerprint(app))
    await unread.report(requests, app.mailboxes())
    await clock.sync(requests)


def _settle_memory() -> None:
    """Collect cycles less often: a worker makes thousands of tasks and futures, and few cycles.

    Collecting them took a quarter of a busy worker's time when it was measured.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextlib.asynccontextmanager
async def _bus_of(app: App, settings: ConnectionSettings) -> AsyncGenerator[Bus]:
    """The bus of a worker for `app`; tools and threads release their resources at the end."""
    if not structlog.is_configured():
        telemetry.configure()  # structlog's default prints variables, and keys with them
    try:
        async with opened(settings, prefix=app.prefix, patient=True, keyring=app.encryption) as bus:
            bus.requests.confirm_within = _CONFIRM_WITHIN
            yield bus
    finally:
        await close(app.sources())
        if app.history is not None:
            await app.history.aclose()
