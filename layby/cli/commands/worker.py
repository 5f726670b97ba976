"""`layby worker`: run the workflows of an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import METRICS_HOST, AppPath, MetricsHost, MetricsPort, ProcessName
from ..process.handshake import ALONE, DEV, PRUNE, READY_FD, stop_when_orphaned
from ..screen.output import stderr
from ..target.app_loading import load_app
from ..target.connection import required_settings

if TYPE_CHECKING:
    from ...app import App
    from ...bus.settings import ConnectionSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


@command
def worker(
    call: Invocation,
    app: AppPath,
    name: ProcessName = None,
    require_keys: Annotated[
        bool,
        typer.Option(
            "--require-keys", metavar="", help="Refuse to start without the API keys of all models."
        ),
    ] = False,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = METRICS_HOST,
    alone: Annotated[bool, typer.Option(ALONE, hidden=True)] = False,
    ready_fd: Annotated[int | None, typer.Option(READY_FD, hidden=True)] = None,
    dev: Annotated[bool, typer.Option(DEV, hidden=True)] = False,
    prune_all: Annotated[bool, typer.Option(PRUNE, hidden=True)] = False,
) -> None:
    """Run the workflows of an app, on your NATS server.

    Start as many workers as you like, on as many machines. On SIGTERM or Ctrl-C, a worker finishes
    its current steps; another worker resumes the rest.

    Example: NATS_URL=nats://127.0.0.1:4222 layby worker examples.support_agent:app
    """
    if alone:
        stop_when_orphaned()
    from ..screen.logs import logging_to_stderr

    with logging_to_stderr(json=call.json, verbose=call.verbose, dev=dev):
        settings = required_settings(call, app)
        loaded = load_app(app, call.prefix)
        from ...worker.model_keys import check_keys

        check_keys(loaded, required=require_keys)
        # Several workers of one `layby dev` or `demo` would want the same port.
        metrics = None if alone or metrics_port is None else (metrics_host, metrics_port)
        _run(call, loaded, settings, name, ready_fd, prune_all=prune_all, metrics=metrics)


def _run(
    call: Invocation,
    app: App,
    settings: ConnectionSettings,
    name: str | None,
    ready_fd: int | None,
    *,
    prune_all: bool,
    metrics: tuple[str, int] | None,
) -> None:
    import asyncio

    work = _work(call, app, settings, name, ready_fd, prune_all=prune_all, metrics=metrics)
    asyncio.run(work)


async def _work(
    call: Invocation,
    app: App,
    settings: ConnectionSettings,
    name: str | None,
    ready_fd: int | None,
    *,
    prune_all: bool,
    metrics: tuple[str, int] | None,
) -> None:
    import asyncio

    from ...bus.pruning import Prune
    from ...worker.monitored import monitored
    from ...worker.worker import run_worker
    from ..process.readiness import announce

    ready = asyncio.Event()

    async def report_ready() -> None:
        await ready.wait()
        if not call.json:  # the log has a line for it
            stderr().print(f"ready on {settings.shown}", style="dim")
        if ready_fd is not None:
            announce(ready_fd, app.prefix, app.people.values())

    reporting = asyncio.ensure_future(report_ready())
    try:
        prune = Prune.ALL if prune_all else None
        async with monitored(app, metrics) as monitor:
            await run_worker(app, settings, name=name, ready=ready, prune=prune, monitor=monitor)
    finally:
        reporting.cancel()
