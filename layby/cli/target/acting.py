"""What the commands share that act on a question without answering it, such as `claim`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from ..invocation import Invocation
from ..screen.errors import FAILED, NO_RECEIPT, OK, CliError, UsageError
from ..screen.output import print_json, stderr
from ..screen.question import (
    DEFAULT_ROLE,
    AnswerCommand,
    act_heading,
    author,
    chosen_question,
    for_voting_role,
)
from ..screen.receipt import checked_name, print_receipt
from ..screen.times import duration
from .connection import with_client

if TYPE_CHECKING:
    from ...actors.people.answer import Receipt
    from ...client import Client
    from ...views.rows import QuestionRow

QuestionId = Annotated[
    str | None,
    typer.Option(
        "--question",
        metavar="ID",
        help="Id of the question, if several are open on the ticket.",
        show_default=False,
    ),
]
Responder = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Name to act under, a word of the subject; default: the NATS user, else your "
        "login name.",
        show_default=False,
    ),
]
RoleName = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE",
        help="Role that was asked; default: that of the open question.",
        show_default=False,
    ),
]
Timeout = Annotated[str, typer.Option(metavar="TIME", help="Maximum time to wait for the receipt.")]


class Common(TypedDict):
    """What every act needs."""

    by: str
    role: str
    question_id: str | None
    timeout: float


Send = Callable[["Client", Common], "Awaitable[Receipt]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act as the command line has it.

    Attributes:
        call: The invocation.
        verb: The command.
        ticket: The ticket.
        argument: What follows the ticket; empty: nothing.
        options: Its own options, to repeat it.
        question: The question's id, if it is named.
        responder: Who acts, if they are named.
        role: The role that was asked, if it is named.
        timeout: How long to wait for the receipt.
    """

    call: Invocation
    verb: str
    ticket: str
    argument: str = ""
    options: tuple[str, ...] = ()
    question: str | None
    responder: str | None
    role: str | None
    timeout: str

    @property
    def command(self) -> AnswerCommand:
        """The act, to be repeated with other options."""
        given = {"--responder": self.responder, "--role": self.role}
        options = [word for name, value in given.items() if value for word in (name, value)]
        return AnswerCommand(
            self.call, self.ticket, self.argument, (*self.options, *options), self.verb
        )

    def carry_out(self, send: Send) -> int:
        """Send it, print the receipt, and return the exit code."""
        from ...bus.errors import StreamMissing
        from ...client import NoReceipt

        seconds = duration(self.timeout)
        try:
            receipt = with_client(self.call, lambda client: self._send(client, send, seconds))
        except StreamMissing as error:
            raise CliError(
                f"no question is open on ticket {self.ticket!r}",
                "check the ticket; `layby questions` lists what is open",
                kind="NothingAsked",
            ) from error
        except NoReceipt as error:
            raise CliError(
                f"no receipt for {self.ticket!r} within {self.timeout}",
                "it is stored and will be applied once a worker runs; do not send it again",
                code=NO_RECEIPT,
                kind="NoReceipt",
                facts={"ticket": self.ticket},
            ) from error
        if self.call.json:
            print_json(receipt)
        else:
            print_receipt(receipt, self.command)
        return OK if receipt.outcome in {"recorded", "replied"} else FAILED

    def _role_of(self, question: QuestionRow, by: str) -> str:
        if self.role is not None or question.quorum is None:
            return self.role or question.role
        return for_voting_role(question, None, by).role

    async def _send(self, client: Client, send: Send, seconds: float) -> Receipt:
        by = checked_name(self.responder or author(self.call))
        if by is None:
            raise UsageError("no name is given", "say who you are, with --responder")
        found = chosen_question(
            await client.asked(self.ticket),
            self.ticket,
            role=self.role,
            question=self.question,
            reply="",
            ask=not self.call.json and sys.stdin.isatty(),
            command=self.command,
        )
        role, question = self.role or DEFAULT_ROLE, self.question
        if found is not None:
            stderr().print(act_heading(found, self.verb), soft_wrap=True)
            role, question = self._role_of(found, by), found.id
        common = Common(by=by, role=role, question_id=question, timeout=seconds)
        return await send(client, common)
