"""`layby provision`: create what an app needs on the server, so that workers need not."""

from __future__ import annotations

from typing import Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import COPIES, AppPath
from ..screen.errors import FAILED, OK
from ..screen.output import print_json, stdout
from ..target.app_loading import load_app
from ..target.connection import required_settings


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
            metavar="N",
            min=1,
            max=5,
            help=COPIES,
            show_default=False,
        ),
    ] = None,
    limits: Annotated[
        bool,
        typer.Option(
            "--limits",
            metavar="",
            help="Set the size limits of new streams on existing ones that have none.",
        ),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            metavar="",
            help="Remove event subjects and consumers that the app no longer declares.",
        ),
    ] = False,
) -> int:
    """Create or check what an app needs on the server.

    That is its streams, buckets and consumers. Run it as a user who may create them; the workers
    then need no such right. Before you use --prune, stop the workers of the earlier release: they
    may need what it removes.

    Example: layby provision examples.support_agent:app --context ops --replicas 3
    """
    settings = required_settings(call, app)
    loaded = load_app(app, call.prefix)

    import asyncio

    from ...operations.provisioning import provision as provision_app

    findings = asyncio.run(
        provision_app(loaded, settings, replicas=replicas, limits=limits, prune=prune)
    )
    if call.json:
        print_json(findings)
    else:
        from ..screen.tables import finding_table

        stdout().print(finding_table(findings))
    return FAILED if any(finding.level == "error" for finding in findings) else OK
