"""`layby purge`: remove what need not be kept."""

from __future__ import annotations

from typing import Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import As, Reason
from ..screen.output import print_json, stderr, stdout
from ..screen.progress import progress
from ..screen.times import duration
from ..target.worker_commands import RESUMED, with_workers


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(purge)


@command
def purge(
    call: Invocation,
    older_than: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Minimum time since a run ended, for example 12h or 30d."
        ),
    ] = "30d",
    reason: Reason = "",
    as_: As = None,
) -> None:
    """Remove the logs of runs that ended long ago.

    Open runs are never touched. A worker carries this out. If none is running, the command is
    stored for the next one and the exit code is 2.

    Example: layby purge --older-than 30d
    """
    age = duration(older_than, allow_zero=True)
    with progress("runs removed", quiet=call.json) as report:
        purged = with_workers(call, lambda client: client.purge(age, report, by=as_, reason=reason))
    if call.json:
        print_json(purged)
        return
    stdout().print(f"removed {purged.runs} runs, {purged.messages} messages")
    if purged.again:
        stderr().print(RESUMED, style="yellow", soft_wrap=True)
