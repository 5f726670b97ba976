"""`layby dead`: messages that no worker could handle."""

from __future__ import annotations

from typing import Annotated

import typer

from ..invocation import Invocation, command, group
from ..options.common import As, Reason
from ..options.filters import Limit
from ..screen.output import print_json, print_more, stdout
from ..target.connection import with_client
from ..target.worker_commands import with_workers

_Number = Annotated[
    int,
    typer.Argument(
        metavar="ID",
        help="Number of the dead letter, as `layby dead list` shows it.",
        show_default=False,
        min=1,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    letters = typer.Typer(
        help="List, retry or drop messages that no worker could handle.\n\nExample: layby dead list"
    )
    letters.callback(invoke_without_command=True)(group)
    letters.command("list")(list_)
    letters.command()(show)
    letters.command()(retry)
    letters.command()(drop)
    app.add_typer(letters, name="dead")


@command
def list_(call: Invocation, limit: Limit = 50) -> None:
    """List the dead letters, newest first, each with its reason.

    Example: layby dead list
    """
    rows = with_client(call, lambda client: client.dead(limit + 1))
    more, rows = len(rows) > limit, rows[:limit]
    if call.json:
        print_json(rows)
    elif rows:
        from ..screen.tables import dead_table

        stdout().print(dead_table(rows))
    else:
        stdout().print("no dead letters", style="dim")
    if more:
        print_more(limit)


@command
def show(call: Invocation, number: _Number) -> None:
    """Show one dead letter with its payload.

    Example: layby dead show 3
    """
    row = with_client(call, lambda client: client.dead_letter(number))
    if call.json:
        print_json(row)
        return
    from ..screen.untrusted_text import one_line, safe

    stdout().print(f"{one_line(row.subject)}  {row.at}  {row.size} bytes", style="bold")
    stdout().print(one_line(row.reason), style="yellow", markup=False)
    stdout().print(safe(row.body), markup=False, highlight=False)


@command
def retry(call: Invocation, number: _Number, reason: Reason = "", as_: As = None) -> None:
    """Handle a dead letter's message again, then remove the letter.

    Fix the cause first. An event starts its run; other readers of its stream do not see it again.

    A worker carries this out. If none is running, the command is stored for the next one and the
    exit code is 2.

    Example: layby dead retry 3
    """
    sent = with_workers(call, lambda client: client.retry_dead(number, by=as_, reason=reason))
    if call.json:
        print_json(sent)
    elif sent.run:
        stdout().print(f"run {sent.run} has started: layby show {sent.run}")
    else:
        stdout().print(f"handled again: {sent.stream} #{sent.seq}")


@command
def drop(call: Invocation, number: _Number, reason: Reason = "", as_: As = None) -> None:
    """Remove a dead letter for good.

    A worker carries this out. If none is running, the command is stored for the next one and the
    exit code is 2.

    Example: layby dead drop 3
    """
    with_workers(call, lambda client: client.drop_dead(number, by=as_, reason=reason))
    if call.json:
        print_json({"dropped": number})
    else:
        stdout().print(f"dropped {number}")
