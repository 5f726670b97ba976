"""`layby doctor`: what is wrong with the server and the runs on it."""

from __future__ import annotations

import typer

from .connected import with_client
from .errors import FAILED, OK
from .invocation import Invocation, command
from .output import print_json, stdout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


@command
def doctor(call: Invocation) -> int:
    """Find what is wrong or stuck, and say what to do.

    It looks at the server's version and settings, the streams, the consumers, the runs.
    Exit code 1 when something needs repair.

    Example: layby doctor --json
    """
    findings = with_client(call, lambda client: client.doctor())
    if call.json:
        print_json(findings)
    else:
        from .tables import finding_table

        stdout().print(finding_table(findings))
    return FAILED if any(finding.level == "error" for finding in findings) else OK
