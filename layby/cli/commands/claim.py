"""`layby claim`: say that you are about to answer a question."""

from __future__ import annotations

from typing import Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import QuestionTicket
from ..screen.errors import UsageError
from ..screen.times import duration
from ..target.acting import Act, QuestionId, Responder, RoleName, Timeout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(claim)


@command
def claim(
    call: Invocation,
    ticket: QuestionTicket,
    time: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long the claim holds, at most 24 h.")
    ] = "30m",
    release: Annotated[
        bool, typer.Option("--release", metavar="", help="Give up your claim.")
    ] = False,
    question: QuestionId = None,
    responder: Responder = None,
    role: RoleName = None,
    timeout: Timeout = "5s",
) -> int:
    """Claim a ticket's open question: everybody sees that you are on it.

    Until the claim expires, reminders go to you only. Anybody may still answer. Escalations and
    the deadline stay. Claim it again to hold it longer.

    Exit code 0: recorded. 1: refused, with the reason, for instance because somebody else has
    claimed it. 2: several questions are open and none is named, or there was no receipt in time.

    Example: layby claim T125 --for 1h
    """
    minutes = 0.0 if release else duration(time) / 60
    if not release and not minutes:
        raise UsageError("a claim needs a time above 0", "give up yours with --release")
    act = Act(
        call=call,
        verb="claim",
        ticket=ticket,
        options=("--release",) if release else ("--for", time) if time != "30m" else (),
        question=question,
        responder=responder,
        role=role,
        timeout=timeout,
    )
    return act.carry_out(lambda client, common: client.claim(ticket, minutes=minutes, **common))
