"""`layby pass`: have somebody else asked too."""

from __future__ import annotations

from typing import Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import QuestionTicket
from ..target.acting import Act, QuestionId, Responder, RoleName, Timeout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="pass")(pass_on)


@command
def pass_on(
    call: Invocation,
    ticket: QuestionTicket,
    to: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="Who is asked: role:lead or person:bob.", show_default=False
        ),
    ],
    question: QuestionId = None,
    responder: Responder = None,
    role: RoleName = None,
    timeout: Timeout = "5s",
) -> int:
    """Pass a ticket's open question on: somebody else is asked too.

    It is like an immediate escalation: their answer closes the question too. A person answers for
    the role that was asked. Everybody who was asked before may still answer.

    Exit code 0: recorded. 1: refused, with the reason. 2: several questions are open and none is
    named, or there was no receipt in time.

    Example: layby pass T125 role:lead
    """
    act = Act(
        call=call,
        verb="pass",
        ticket=ticket,
        argument=to,
        question=question,
        responder=responder,
        role=role,
        timeout=timeout,
    )
    return act.carry_out(lambda client, common: client.pass_on(ticket, to, **common))
