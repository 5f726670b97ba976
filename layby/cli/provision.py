"""`layby provision`: make what an app needs on the server, so that workers need no right to."""

from __future__ import annotations

from typing import Annotated

import typer

from .errors import FAILED, OK
from .invocation import Invocation, command
from .load import load_app
from .output import print_json, stdout
from .worker import AppPath, required_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(provision)


@command
def provision(
    call: Invocation,
    app: AppPath,
    replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=5,
            help="Copies of each stream, existing ones too: 3 in production.",
            show_default=False,
        ),
    ] = None,
    limits: Annotated[
        bool,
        typer.Option(
            "--limits",
            metavar="",
            help="Give existing streams the byte limits of new ones, where they have none.",
        ),
    ] = False,
) -> int:
    """Create or verify what an app needs on the server.

    These are its streams, buckets and consumers. Run it once, as a user who may; its workers then
    need no right to create anything.

    Example: layby provision examples.support_agent:app --context ops --replicas 3
    """
    settings = required_settings(call, app)
    loaded = load_app(app, call.prefix)

    import asyncio

    from ..run import provision as make

    findings = asyncio.run(make(loaded, settings, replicas=replicas, limits=limits))
    if call.json:
        print_json(findings)
    else:
        from .tables import finding_table

        stdout().print(finding_table(findings))
    return FAILED if any(finding.level == "error" for finding in findings) else OK
