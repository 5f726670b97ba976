"""`layby ask-back`: ask the asker something, before you answer."""

from __future__ import annotations

from typing import Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import QuestionTicket
from ..screen.times import duration
from ..target.acting import Act, QuestionId, Responder, RoleName, Timeout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="ask-back")(ask_back)


@command
def ask_back(
    call: Invocation,
    ticket: QuestionTicket,
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="What you want to know.", show_default=False),
    ],
    reply_within: Annotated[
        str, typer.Option(metavar="TIME", help="Maximum time to wait for the reply.")
    ] = "30s",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", metavar="", help="Do not wait for the reply.")
    ] = False,
    question: QuestionId = None,
    responder: Responder = None,
    role: RoleName = None,
    timeout: Timeout = "5s",
) -> int:
    """Ask back: ask the asker something, before you answer.

    An agent that has asked the ticket's open question replies by itself; for a workflow, somebody
    is asked. The question stays open. The reply is printed; if it takes longer, `layby questions`
    and `layby show` have it too.

    Exit code 0: recorded, or replied. 1: refused, or nobody replies, with the reason. 2: several
    questions are open and none is named, or there was no receipt in time.

    Example: layby ask-back T125 "Which customer is it?"
    """
    act = Act(
        call=call,
        verb="ask-back",
        ticket=ticket,
        argument=text,
        options=_options(reply_within, no_wait=no_wait),
        question=question,
        responder=responder,
        role=role,
        timeout=timeout,
    )
    within = 0.0 if no_wait else duration(reply_within)
    return act.carry_out(
        lambda client, common: client.ask_back(ticket, text, reply_within=within, **common)
    )


def _options(reply_within: str, *, no_wait: bool) -> tuple[str, ...]:
    """The options that say how long to wait for the reply, to repeat the command."""
    if no_wait:
        return ("--no-wait",)
    return ("--reply-within", reply_within) if reply_within != "30s" else ()
