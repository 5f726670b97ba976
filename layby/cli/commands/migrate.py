"""`layby migrate`: convert what an earlier release wrote."""

from __future__ import annotations

import typer

from ..invocation import Invocation, command
from ..screen.output import print_json, stdout
from ..target.connection import with_client


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


@command
def migrate(call: Invocation) -> None:
    """Convert the run and question lists of an earlier release.

    A worker does this when it starts. Run it once the last worker of the earlier release has
    stopped; it can be repeated.

    Example: layby migrate
    """
    rows = with_client(call, lambda client: client.migrate())
    if call.json:
        print_json({"rows": rows})
    else:
        stdout().print(f"migrated {rows} rows" if rows else "there is nothing to migrate")
