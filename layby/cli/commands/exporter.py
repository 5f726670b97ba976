"""`layby exporter`: metrics of the streams for Prometheus."""

from __future__ import annotations

import typer

from ..invocation import Invocation, command
from ..options.common import METRICS_HOST, MetricsHost, MetricsPort
from ..screen.output import stderr
from ..target.connection import reachable_settings

_PORT = 7423


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(exporter)


@command
def exporter(
    call: Invocation,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = METRICS_HOST,
) -> None:
    """Serve metrics of an app's streams for Prometheus.

    They are about runs, questions, mailboxes, streams and workers; what a worker counts itself is
    on its own port. Run one for each app, or for all apps with one prefix. It only reads. Without
    --metrics-port it takes 7423.

    Example: layby exporter --metrics-port 7423
    """
    import asyncio

    from ...exporter import exporting
    from ..process.signals import run_until_stopped
    from ..screen.logs import logging_to_stderr

    port = _PORT if metrics_port is None else metrics_port

    async def serve() -> None:
        async with exporting(
            reachable_settings(call),
            metrics_host,
            port,
            prefix=call.app_prefix,
            keyring=call.keyring,
        ) as found:
            if not call.json:  # the log has a line for it
                stderr().print(f"metrics on {metrics_host}:{found}", style="dim")
            await asyncio.Event().wait()

    with logging_to_stderr(json=call.json, verbose=call.verbose):
        run_until_stopped(serve())
