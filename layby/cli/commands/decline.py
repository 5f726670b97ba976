"""`layby decline`: say that a question is not yours."""

from __future__ import annotations

import typer

from ..invocation import Invocation, command
from ..options.common import QuestionTicket
from ..target.acting import Act, QuestionId, Responder, RoleName, Timeout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(decline)


@command
def decline(
    call: Invocation,
    ticket: QuestionTicket,
    question: QuestionId = None,
    responder: Responder = None,
    role: RoleName = None,
    timeout: Timeout = "5s",
) -> int:
    """Decline a ticket's open question: say that you will not answer it.

    When everybody who was asked has declined, the next escalation is reached at once.

    Exit code 0: recorded. 1: refused, with the reason. 2: several questions are open and none is
    named, or there was no receipt in time.

    Example: layby decline T125
    """
    act = Act(
        call=call,
        verb="decline",
        ticket=ticket,
        question=question,
        responder=responder,
        role=role,
        timeout=timeout,
    )
    return act.carry_out(lambda client, common: client.decline(ticket, **common))
