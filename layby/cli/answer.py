"""`layby answer`: answer a question and wait for the receipt."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ..bus.token import is_word
from .connected import with_client
from .errors import FAILED, NO_RECEIPT, OK, CliError, UsageError
from .invocation import Invocation, command
from .output import print_json, stderr, stdout
from .question import DEFAULT_ROLE, answering, author, chosen
from .send import text_or_stdin
from .signer import NkeyFile, named, print_signed, signer_in
from .times import duration

if TYPE_CHECKING:
    from ..client import Client
    from ..rows import QuestionRow, Receipt
    from ..signing import Signature


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(answer)


@command
def answer(
    call: Invocation,
    ticket: Annotated[str, typer.Argument(help="The ticket that waits.", show_default=False)],
    text: Annotated[
        str,
        typer.Argument(help="The answer; - reads it from standard input.", show_default=False),
    ],
    question: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Answer this one, where several are open.", show_default=False
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who answers; without it the NATS user, else your login name.",
            show_default=False,
        ),
    ] = None,
    responder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who answers, as the subject says it: the server may allow you no other name. "
            "Counts more than --by.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(help="The role that was asked; found by itself.", show_default=False),
    ] = None,
    nkey: NkeyFile = None,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="How long to wait for the receipt.")
    ] = "5s",
) -> int:
    """Answer a ticket's open question and print the receipt.

    Signs the answer where its role has keys, and shows what it signs.

    Says first which question it answers. When several are open it asks which one or, where nobody
    can be asked, lists them.

    Exit code 0: accepted. 1: refused, with the reason. 2: several are open and none is named, or no
    receipt in time; the answer is then stored and will be applied when a worker runs.

    Example: layby answer T125 "Fixed in v1.1.4" --by ada
    """
    reply = text_or_stdin(text).strip()
    if not reply:
        raise UsageError("the answer is empty", "silence is never a yes: write what you decided")
    from ..bus.errors import PermissionDenied

    seconds = duration(timeout)
    if responder is not None and not is_word(responder):
        raise UsageError(
            f"{responder!r} can be nobody's name in a subject", "use letters, digits, _ and -"
        )

    said_by = by or author(call)

    async def send(client: Client) -> Receipt:
        rows = await client.asked(ticket)
        interactive = text != "-" and not call.json and sys.stdin.isatty()
        meant = chosen(rows, ticket, role=role, question=question, reply=reply, ask=interactive)
        if meant is not None:
            stderr().print(answering(meant), soft_wrap=True)
        person, signature = responder, None
        if meant is not None and (nkey or "signature" in meant.accept):
            person = named(responder or said_by)
            signature = _signed(call, meant, reply, person, nkey)
        return await client.answer(
            ticket,
            reply,
            role=meant.role if meant else role or DEFAULT_ROLE,
            question_id=meant.id if meant else question,
            by=said_by,
            responder=person,
            signature=signature,
            timeout=seconds,
        )

    try:
        receipt = _receipt(call, ticket, send, timeout)
    except PermissionDenied as error:
        if responder is not None or ".response." not in str(error):
            raise
        raise CliError(
            str(error).partition(". ")[0],
            "the server may allow you to answer under your own name only: "
            f"layby answer --responder {said_by or 'NAME'}",
            kind="PermissionDenied",
        ) from error
    if call.json:
        print_json(receipt)
    else:
        print_receipt(receipt)
    return OK if receipt.outcome == "accepted" else FAILED


def _signed(
    call: Invocation, meant: QuestionRow, reply: str, person: str, nkey: str | None
) -> Signature:
    from ..signing import sign_answer

    signed = sign_answer(meant, reply, by=person, signer=signer_in(nkey, call.settings()))
    print_signed(meant, signed)
    return signed.signature


def print_receipt(receipt: Receipt) -> None:
    """Say what became of an answer, and why when it was refused."""
    from rich.text import Text

    from .foreign import one_line

    accepted = receipt.outcome == "accepted"
    head = Text(receipt.outcome.replace("_", " "), style="green" if accepted else "yellow")
    head.append(f"  {one_line(receipt.ticket)}", style="bold")
    if receipt.question:
        head.append(f"  question {receipt.question}", style="dim")
    if receipt.by:
        head.append(f"  by {one_line(receipt.by)}", style="dim")
    stdout().print(head, soft_wrap=True)
    if receipt.reason:
        stdout().print(one_line(receipt.reason), soft_wrap=True)
    for candidate in receipt.candidates:
        line = f"  {candidate.id}  {one_line(candidate.question, 100)}"
        stdout().print(Text(line, style="dim"), soft_wrap=True)


def _receipt(
    call: Invocation, ticket: str, send: Callable[[Client], Awaitable[Receipt]], timeout: str
) -> Receipt:
    from ..bus.errors import StreamMissing
    from ..client import NoReceipt

    try:
        return with_client(call, send)
    except StreamMissing as error:
        raise CliError(
            f"no question is open on ticket {ticket!r}",
            "`layby questions` lists what is asked; check the ticket, and --role if you gave one",
            kind="NothingAsked",
        ) from error
    except NoReceipt as error:
        raise CliError(
            f"no receipt for {ticket!r} within {timeout}",
            "the answer is stored and will be applied when a worker runs; do not send it again",
            code=NO_RECEIPT,
            kind="NoReceipt",
            facts={"ticket": ticket},
        ) from error
