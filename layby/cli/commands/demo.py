"""`layby demo`: the support network on one ticket, from the event to the reply."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import ConsolePort, ShowConsole
from ..process.local_server import FOLDER
from ..screen.errors import FAILED, OK, UsageError
from ..screen.output import print_json
from ..screen.times import duration

TICKETS = ("T123", "T124", "T125")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


@command
def demo(
    call: Invocation,
    ticket: Annotated[
        str,
        typer.Option(
            metavar="TICKET",
            help="Ticket to play: T123, T124 or T125. T125 asks a developer.",
        ),
    ] = "T125",
    answer: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Answer to give to every question; without it, you answer.",
            show_default=False,
        ),
    ] = None,
    deadline: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Time the developer has to answer, for example 10s, 5m or 4h."
        ),
    ] = "4h",
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the demo's data.", file_okay=False)
    ] = FOLDER / "demo",
    fresh: Annotated[
        bool, typer.Option("--fresh", metavar="", help="Delete the data of earlier demos first.")
    ] = False,
    console: ShowConsole = True,
    console_port: ConsolePort = None,
) -> int:
    """Play a support ticket, from the event to the reply.

    A supervisor routes the ticket, an agent asks a developer, the run parks, your answer resumes
    it, and the customer gets a reply.

    Starts a NATS server on a free port of this machine, two workers and the console, and stops them
    at the end.
    Uses Claude if ANTHROPIC_API_KEY is set, else a scripted offline model.

    Example: layby demo --ticket T125 --answer "Fixed in v1.1.4"
    """
    from ..demo.story import Plan, play
    from ..process.signals import run_until_stopped

    duration(deadline)
    plan = Plan(
        ticket=_ticket(ticket),
        answer=answer,
        deadline=deadline,
        data=data,
        fresh=fresh,
        quiet=call.json,
        console=console,
        console_port=console_port,
    )
    detail = run_until_stopped(play(plan))
    if call.json:
        print_json(detail)
    return OK if detail.status == "completed" else FAILED


def _ticket(text: str) -> str:
    ticket = text.strip().upper()
    if ticket not in TICKETS:
        raise UsageError(f"the demo has no ticket {text!r}", "use one of " + ", ".join(TICKETS))
    return ticket
