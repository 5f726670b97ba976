"""`layby migrate`: what an earlier release wrote, in today's form."""

from __future__ import annotations

import typer

from .connected import with_client
from .invocation import Invocation, command
from .output import print_json, stdout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


@command
def migrate(call: Invocation) -> None:
    """Bring the lists of runs and questions that an earlier release wrote into today's form.

    A worker does this when it starts. Run it once the last worker of the earlier release is gone;
    it may be repeated.

    Example: layby migrate
    """
    rows = with_client(call, lambda client: client.migrate())
    if call.json:
        print_json({"rows": rows})
    else:
        stdout().print(f"{rows} rows were migrated" if rows else "there is nothing to migrate")
