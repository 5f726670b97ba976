"""`layby notify`: run the channels of an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..invocation import Invocation, command
from ..options.common import METRICS_HOST, AppPath, MetricsHost, MetricsPort, ProcessName
from ..screen.output import stderr
from ..target.app_loading import load_app
from ..target.connection import required_settings

if TYPE_CHECKING:
    from ...app import App
    from ...bus.settings import ConnectionSettings
    from ...worker.notify import Part


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(notify)


@command
def notify(
    call: Invocation,
    app: AppPath,
    name: ProcessName = None,
    only: Annotated[
        Literal["send", "listen"] | None,
        typer.Option(
            metavar="PART",
            help="Only send questions, or only listen for answers; default: both.",
            show_default=False,
        ),
    ] = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = METRICS_HOST,
) -> None:
    """Send questions to an app's channels, and take in answers.

    Workers send too, if they have what a channel needs. Only this process listens, for instance to
    Slack, so keep one running. On SIGTERM or Ctrl-C it stops; an answer that it has stored counts.

    Example: NATS_URL=nats://127.0.0.1:4222 layby notify shop.app:app
    """
    import asyncio

    from ..screen.logs import logging_to_stderr

    with logging_to_stderr(json=call.json, verbose=call.verbose):
        settings = required_settings(call, app)
        loaded = load_app(app, call.prefix)
        metrics = None if metrics_port is None else (metrics_host, metrics_port)
        asyncio.run(_notify(call, loaded, settings, name, only, metrics))


async def _notify(
    call: Invocation,
    app: App,
    settings: ConnectionSettings,
    name: str | None,
    only: Part | None,
    metrics: tuple[str, int] | None,
) -> None:
    import asyncio

    from ...worker.monitored import monitored
    from ...worker.notify import run_notify

    ready = asyncio.Event()

    async def report_ready() -> None:
        await ready.wait()
        if not call.json:  # the log has a line for it
            stderr().print(f"ready on {settings.shown}", style="dim")

    reporting = asyncio.ensure_future(report_ready())
    try:
        async with monitored(app, metrics) as monitor:
            await run_notify(app, settings, name=name, only=only, ready=ready, monitor=monitor)
    finally:
        reporting.cancel()
