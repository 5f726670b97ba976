"""`layby doctor`: what is wrong with the server and the runs on it."""

from __future__ import annotations

import typer

from ..invocation import Invocation, command
from ..screen.errors import FAILED, OK
from ..screen.output import print_json, stdout
from ..target.connection import with_client


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


@command
def doctor(call: Invocation) -> int:
    """Find what is wrong or stuck, and show how to fix it.

    Checks the server's version and settings, the streams and their copies, the consumers, the
    workers and the runs. Exit code 1 if something needs repair.

    Example: layby doctor --json
    """
    findings = with_client(call, lambda client: client.doctor())
    if call.json:
        print_json(findings)
    else:
        from ..screen.tables import finding_table

        stdout().print(finding_table(findings))
    return FAILED if any(finding.level == "error" for finding in findings) else OK
