"""`layby answer`: answer a question and wait for the receipt."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import WHO_HELP
from ..options.signing import NkeyFile, signer_in, signing_name
from ..options.standard_input import text_or_stdin
from ..screen.errors import FAILED, NO_RECEIPT, OK, CliError, UsageError
from ..screen.output import print_json, stderr, stdout
from ..screen.question import (
    DEFAULT_ROLE,
    AnswerCommand,
    answer_heading,
    author,
    chosen_question,
    command_for,
    for_voting_role,
    print_signed,
)
from ..screen.receipt import checked_name, print_receipt
from ..screen.times import duration
from ..target.connection import with_client

if TYPE_CHECKING:
    from ...actors.people.answer import Receipt
    from ...client import Client
    from ...client.signing import Signature
    from ...views.rows import QuestionRow

_YOU = "YOUR_NAME"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(answer)


@command
def answer(
    call: Invocation,
    ticket: Annotated[
        str, typer.Argument(metavar="TICKET", help="Ticket of the question.", show_default=False)
    ],
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT", help="Answer; - reads it from standard input.", show_default=False
        ),
    ],
    question: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Id of the question, if several are open on the ticket.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Name to record; default: {WHO_HELP}",
            show_default=False,
        ),
    ] = None,
    responder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name to answer under in the subject, where the server allows you only that one. "
            "Takes precedence over --by.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="Role that was asked; default: that of the open question.",
            show_default=False,
        ),
    ] = None,
    nkey: NkeyFile = None,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="Maximum time to wait for the receipt.")
    ] = "5s",
) -> int:
    """Answer a ticket's open question and print the receipt.

    First shows which question it answers. If several are open, it asks which one or, without a
    terminal, lists them. If the role has keys, it signs the answer and shows what it signs. If
    several people decide, it votes under your name.

    Exit code 0: accepted, or counted as a vote. 1: refused, with the reason. 2: several questions
    are open and none is named, or there was no receipt in time; the answer is then stored until a
    worker runs.

    Example: layby answer T125 "Fixed in v1.1.4" --by ada
    """
    attempt = _Attempt(
        call=call,
        ticket=ticket,
        reply=_checked_reply(text),
        from_stdin=text == "-",
        question=question,
        by=by,
        author=by or author(call),
        responder=checked_name(responder),
        role=role,
        nkey=nkey,
        timeout=timeout,
        seconds=duration(timeout),
    )
    from ...actors.people.answer import TAKEN

    answered, receipt = _send(attempt)
    if call.json:
        print_json(receipt)
    else:
        print_receipt(receipt, attempt.command)
        if receipt.outcome == "invalid" and answered is not None and answered.quorum is None:
            _print_valid(answered, attempt.author or _YOU, attempt.command)
    return OK if receipt.outcome in TAKEN else FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One answer as the command line has it."""

    call: Invocation
    ticket: str
    reply: str
    from_stdin: bool
    question: str | None
    by: str | None
    author: str | None
    responder: str | None
    role: str | None
    nkey: str | None
    timeout: str
    seconds: float

    @property
    def command(self) -> AnswerCommand:
        """The answer, to be repeated with other options."""
        is_file = self.nkey and Path(self.nkey).is_file()
        file = self.nkey if is_file else self.nkey and "FILE"  # it may be the seed itself
        given = {"--by": self.by, "--responder": self.responder, "--role": self.role}
        given["--nkey"] = file
        options = [word for name, value in given.items() if value for word in (name, value)]
        reply = "-" if self.from_stdin else self.reply
        return AnswerCommand(self.call, self.ticket, reply, tuple(options))

    async def send(self, client: Client) -> tuple[QuestionRow | None, Receipt]:
        """Find the question, answer it, and wait for the receipt."""
        found = self._question(await client.asked(self.ticket))
        if found is not None:
            stderr().print(answer_heading(found), soft_wrap=True)
            found = for_voting_role(found, self.role, self.responder or self.author or "")
        responder, signature = self.responder, None
        if found is not None and found.quorum is not None:
            responder = self.responder or self.author
        if found is not None and (self.nkey or "signature" in found.accept):
            responder = signing_name(self.responder or self.author)
            signature = self._signature(found, responder)
        receipt = await client.answer(
            self.ticket,
            self.reply,
            role=found.role if found else self.role or DEFAULT_ROLE,
            question_id=found.id if found else self.question,
            by=self.author,
            responder=responder,
            signature=signature,
            timeout=self.seconds,
        )
        return found, receipt

    def _question(self, rows: Sequence[QuestionRow]) -> QuestionRow | None:
        return chosen_question(
            rows,
            self.ticket,
            role=self.role,
            question=self.question,
            reply=self.reply,
            ask=not (self.from_stdin or self.call.json) and sys.stdin.isatty(),
            command=self.command,
        )

    def _signature(self, question: QuestionRow, name: str) -> Signature:
        from ...client.signing import sign_answer

        signer = signer_in(self.nkey, self.call.settings())
        signed = sign_answer(question, self.reply, by=name, signer=signer)
        print_signed(question, signed)
        return signed.signature


def _checked_reply(text: str) -> str:
    reply = text_or_stdin(text).strip()
    if not reply:
        raise UsageError("the answer is empty", "write what you decided")
    return reply


def _print_valid(meant: QuestionRow, by: str, command: AnswerCommand) -> None:
    """Print a command that the question would accept: with the same text, where that is enough."""
    from rich.text import Text

    named = "nats" in meant.accept and "none" not in meant.accept
    if named and "--responder" not in command.options and not (meant.form or meant.digest):
        line = command.line(meant.id, "--responder", by)
    else:
        line = command_for(meant, command.call, responder=by if named else "")
    stdout().print(Text(f"  {line}"), soft_wrap=True)


def _send(attempt: _Attempt) -> tuple[QuestionRow | None, Receipt]:
    """Send the answer; the errors that it can meet, with what to do about them."""
    from ...bus.errors import PermissionDenied, StreamMissing
    from ...client import NoReceipt

    try:
        return with_client(attempt.call, attempt.send)
    except PermissionDenied as error:
        if attempt.responder is not None or ".response." not in str(error):
            raise
        raise CliError(
            str(error).partition(". ")[0],
            "the server may allow you to answer under your own name only: "
            + attempt.command.line(attempt.question or "", "--responder", attempt.author or _YOU),
            kind="PermissionDenied",
        ) from error
    except StreamMissing as error:
        raise CliError(
            f"no question is open on ticket {attempt.ticket!r}",
            "check the ticket, and --role if you gave one; `layby questions` lists what is open",
            kind="NothingAsked",
        ) from error
    except NoReceipt as error:
        raise CliError(
            f"no receipt for {attempt.ticket!r} within {attempt.timeout}",
            "the answer is stored and will be applied once a worker runs; do not send it again",
            code=NO_RECEIPT,
            kind="NoReceipt",
            facts={"ticket": attempt.ticket},
        ) from error
