"""`layby dev`: a server, a worker and reload, for the one who writes the app."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from ..bus.install import installing
from .errors import CliError
from .invocation import Invocation, command
from .load import split
from .nearby import FOLDER
from .worker import AppPath


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
            help="Port of the embedded server; a free one if not given.",
            min=1,
            max=65535,
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option(metavar="", help="Restart the worker when a file changes.")
    ] = True,
) -> None:
    """Run an app here: a server, a worker, a restart on every save.

    With NATS_URL, --server or --context the worker uses that server and none is started.

    Example: layby dev examples.support_agent:app
    """
    split(app)
    if reload and importlib.util.find_spec("watchfiles") is None:
        raise CliError(
            "restarting on save needs the package watchfiles",
            f"{installing('local')}, or use --no-reload",
            kind="PackageMissing",
        )

    from .dev_loop import develop
    from .signals import run_until_stopped

    run_until_stopped(develop(call, app, data, port, reload=reload))
