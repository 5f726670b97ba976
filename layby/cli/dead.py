"""`layby dead` and `purge`: what could not be handled, and what need not be kept."""

from __future__ import annotations

from typing import Annotated

import typer

from .commanding import INTERRUPTED, As, Reason, commanding
from .connected import with_client
from .invocation import Invocation, command, group
from .output import print_json, stderr, stdout
from .progress import progress
from .times import duration

_Number = Annotated[int, typer.Argument(metavar="ID", help="Its number.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    letters = typer.Typer(
        help="List, send again or drop what no worker could handle.\n\nExample: layby dead list"
    )
    letters.callback(invoke_without_command=True)(group)
    letters.command("list")(list_)
    letters.command()(show)
    letters.command()(retry)
    letters.command()(drop)
    app.add_typer(letters, name="dead")
    app.command()(purge)


@command
def list_(call: Invocation) -> None:
    """List them, oldest first, each with its reason.

    Example: layby dead list
    """
    rows = with_client(call, lambda client: client.dead())
    if call.json:
        print_json(rows)
    elif rows:
        from .tables import dead_table

        stdout().print(dead_table(rows))
    else:
        stdout().print("no dead letters", style="dim")


@command
def show(call: Invocation, number: _Number) -> None:
    """Show one with its payload.

    Example: layby dead show 3
    """
    row = with_client(call, lambda client: client.dead_letter(number))
    if call.json:
        print_json(row)
        return
    from .foreign import one_line, safe

    stdout().print(f"{one_line(row.subject)}  {row.at}  {row.size} bytes", style="bold")
    stdout().print(one_line(row.reason), style="yellow", markup=False)
    stdout().print(safe(row.body), markup=False, highlight=False)


@command
def retry(call: Invocation, number: _Number, reason: Reason = "", as_: As = None) -> None:
    """Publish its message anew and remove the letter, once its cause is mended.

    A worker does it. With none up, exit code 2: the command is stored, and done when one starts.

    Example: layby dead retry 3
    """
    sent = commanding(call, lambda client: client.retry_dead(number, by=as_, reason=reason))
    if call.json:
        print_json(sent)
    else:
        stdout().print(f"sent again: {sent.stream} #{sent.seq}")


@command
def drop(call: Invocation, number: _Number, reason: Reason = "", as_: As = None) -> None:
    """Remove one for good.

    A worker does it. With none up, exit code 2: the command is stored, and done when one starts.

    Example: layby dead drop 3
    """
    commanding(call, lambda client: client.drop_dead(number, by=as_, reason=reason))
    if call.json:
        print_json({"dropped": number})
    else:
        stdout().print(f"dropped {number}")


@command
def purge(
    call: Invocation,
    older_than: Annotated[
        str, typer.Option(help="Only runs that ended so long ago, 30d for instance.")
    ] = "30d",
    reason: Reason = "",
    as_: As = None,
) -> None:
    """Remove the logs of runs that ended long ago. Runs that still wait are never touched.

    A worker does it, beside its other work. With none up, exit code 2: the command is stored, and
    done when one starts.

    Example: layby purge --older-than 30d
    """
    age = duration(older_than, allow_zero=True)
    with progress("runs removed", quiet=call.json) as tell:
        purged = commanding(call, lambda client: client.purge(age, tell, by=as_, reason=reason))
    if call.json:
        print_json(purged)
        return
    stdout().print(f"removed {purged.runs} runs, {purged.messages} messages")
    if purged.again:
        stderr().print(INTERRUPTED, style="yellow", soft_wrap=True)
