"""`layby show`: one run, from its event to its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .connected import with_client
from .invocation import Invocation, command
from .output import print_json, stdout
from .signer import KeysFile, keys_in

if TYPE_CHECKING:
    from rich.console import Console

    from ..client import Client
    from ..rows import RunDetail


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(show)


@command
def show(
    call: Invocation,
    run: Annotated[
        str,
        typer.Argument(
            help="Its id, the start of it, or its ticket (its newest run).", show_default=False
        ),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", metavar="", help="Go on until the run has ended.")
    ] = False,
    keys: KeysFile = None,
) -> None:
    """Show one run: what happened when, who did it, and how it ended.

    Example: layby show T125 --follow
    """
    told = False

    async def look(client: Client) -> RunDetail:
        nonlocal told
        detail = await client.show(run)
        if not follow or has_ended(detail.status):
            return detail
        told = True
        return await _follow(client, detail, quiet=call.json)

    detail = with_client(call, look, keys=keys_in(keys))
    if call.json:
        print_json(detail)
    elif told:
        print_end(stdout(), detail)
    else:
        print_run(stdout(), call, detail)


def has_ended(status: str) -> bool:
    """Whether a run with this status has taken its last step."""
    return status not in {"running", "waiting", "blocked"}


def print_run(console: Console, call: Invocation, detail: RunDetail) -> None:
    """Print a whole run: its head, its history, its end."""
    print_head(console, detail)
    print_steps(console, detail)
    print_children(console, detail)
    print_questions(console, call, detail)
    print_end(console, detail)


def print_head(console: Console, detail: RunDetail) -> None:
    """Print which run this is."""
    from rich.text import Text

    from . import times
    from .foreign import one_line
    from .tables import status_text

    head = Text.assemble((one_line(detail.ticket), "bold"), f"  {detail.workflow}  ")
    console.print(head.append_text(status_text(detail.status)))
    started = f"run {detail.id}, started {times.clock(detail.started_at)}"
    console.print(Text(started, style="dim"))
    console.print()


def print_steps(console: Console, detail: RunDetail) -> None:
    """Print what happened so far, oldest first."""
    from .timeline import Timeline

    timeline = Timeline(console, start=detail.started_at)
    for step in detail.steps:
        timeline.step(step)


def print_children(console: Console, detail: RunDetail) -> None:
    """Print the runs that this one has started, if any."""
    if detail.children:
        from .tables import run_table

        console.print()
        console.print(run_table(detail.children, width=console.width))


def print_questions(console: Console, call: Invocation, detail: RunDetail) -> None:
    """Print what people are being asked, what an answer must be, and how to give it."""
    if detail.questions:
        from .questions import print_commands
        from .tables import question_table

        console.print()
        console.print(question_table(detail.questions))
        print_commands(console, call, detail.questions)


def print_end(console: Console, detail: RunDetail) -> None:
    """Print the result or the error, where there is one already."""
    from .ending import ending

    if shown := ending(detail):
        console.print()
        console.print(shown)


async def _follow(client: Client, detail: RunDetail, *, quiet: bool) -> RunDetail:
    from .speech import Speech
    from .timeline import Timeline

    console = stdout()
    speech = Speech(console)
    if not quiet:
        print_head(console, detail)
    timeline = Timeline(console, start=detail.started_at)
    async for line in client.follow(detail.id, text=speech.heard and not quiet):
        if line.kind == "text.delta":
            speech.delta(line)
        elif not quiet:
            speech.end()
            timeline.line(line)
        if line.kind == "run.ended":
            break
    return await client.show(detail.id)
