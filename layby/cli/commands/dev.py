"""`layby dev`: a server, a worker and reload, for the app's developer."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from ...bus.install import installing
from ..invocation import Invocation, command
from ..options.common import AppPath, ConsolePort, ShowConsole
from ..process.local_server import FOLDER
from ..screen.errors import CliError
from ..target.app_loading import split_target


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(dev)


@command
def dev(
    call: Invocation,
    app: AppPath,
    data: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Folder of the embedded server's data.", file_okay=False
        ),
    ] = FOLDER,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            help="Port of the embedded server; default: a free one.",
            min=1,
            max=65535,
        ),
    ] = None,
    reload: Annotated[
        bool,
        typer.Option(
            "--reload/--no-reload",
            metavar="",
            help="Restart the worker when a Python file changes.",
        ),
    ] = True,
    console: ShowConsole = True,
    console_port: ConsolePort = None,
) -> None:
    """Run an app for development, with a restart on every save.

    Starts a NATS server, a worker and the console. With NATS_URL, --server or --context, they use
    that server and none is started.

    Example: layby dev examples.support_agent:app
    """
    split_target(app)
    if reload and importlib.util.find_spec("watchfiles") is None:
        raise CliError(
            "restarting on save needs the package watchfiles",
            f"{installing('local')}, or use --no-reload",
            kind="PackageMissing",
        )

    from ..dev.loop import develop
    from ..process.signals import run_until_stopped

    run_until_stopped(
        develop(call, app, data, port, reload=reload, console=console, console_port=console_port)
    )
