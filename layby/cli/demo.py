"""`layby demo`: the support network on one ticket, from the event to the reply."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .errors import FAILED, OK, UsageError
from .invocation import Invocation, command
from .nearby import FOLDER
from .output import print_json
from .times import duration

TICKETS = ("T123", "T124", "T125")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


@command
def demo(
    call: Invocation,
    ticket: Annotated[
        str, typer.Option(help="Which ticket: T123, T124 or T125, which asks a developer.")
    ] = "T125",
    answer: Annotated[
        str | None,
        typer.Option(help="Answer the question with this text by itself.", show_default=False),
    ] = None,
    deadline: Annotated[
        str, typer.Option(metavar="TIME", help="How long the developer has: 10s, 5m, 4h.")
    ] = "4h",
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of all its data.", file_okay=False)
    ] = FOLDER / "demo",
    fresh: Annotated[
        bool, typer.Option("--fresh", metavar="", help="Forget what earlier demos did.")
    ] = False,
) -> int:
    """See it work on one ticket, from the event to the reply.

    A supervisor routes the ticket, an agent asks a developer, the run parks, your answer resumes
    it, and the customer gets a reply.

    Starts a NATS server on a free port of this machine and two workers, and stops them at the end.
    Uses Claude when ANTHROPIC_API_KEY is set, and a scripted offline model without it.

    Example: layby demo --ticket T125 --answer "Fixed in v1.1.4"
    """
    from .demo_story import Plan, play
    from .signals import run_until_stopped

    duration(deadline)
    plan = Plan(
        ticket=_ticket(ticket),
        answer=answer,
        deadline=deadline,
        data=data,
        fresh=fresh,
        quiet=call.json,
    )
    detail = run_until_stopped(play(plan))
    if call.json:
        print_json(detail)
    return OK if detail.status == "completed" else FAILED


def _ticket(text: str) -> str:
    ticket = text.strip().upper()
    if ticket not in TICKETS:
        raise UsageError(f"the demo has no ticket {text!r}", "it has " + ", ".join(TICKETS))
    return ticket
