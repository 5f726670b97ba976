"""One question on the screen: what it asks, what an answer must be, how to answer it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...login import login
from . import shell
from .errors import USAGE, CliError, UsageError
from .output import stderr
from .untrusted_text import one_line, safe

if TYPE_CHECKING:
    from rich.text import Text

    from ...client.signing import Signable, Signed
    from ...views.rows import QuestionRow
    from ..invocation import Invocation

DEFAULT_ROLE = "developer"
_BRIEF = 100


class AnswerCommand(NamedTuple):
    """An answer as it was given on the command line, to be repeated with other options."""

    call: Invocation
    ticket: str
    reply: str
    """What follows the ticket: the answer; empty: nothing."""
    options: tuple[str, ...] = ()
    verb: str = "answer"

    def line(self, question: str, *more: str) -> str:
        """The whole command that gives it to a question, ready to paste."""
        named = ["--question", question] if question else []
        dashed = self.ticket.startswith("-") or (self.reply.startswith("-") and self.reply != "-")
        said = [self.ticket, self.reply] if self.reply else [self.ticket]
        words = [*named, *self.options, *more, *(["--"] if dashed else []), *said]
        return shell.command_line(self.call, [self.verb, *words])


def author(call: Invocation) -> str | None:
    """Who answers by default: the NATS user, else the login name on this machine."""
    return call.settings().owner or login()


def chosen_question(
    rows: Sequence[QuestionRow],
    ticket: str,
    *,
    role: str | None,
    question: str | None,
    reply: str,
    ask: bool,
    command: AnswerCommand,
) -> QuestionRow | None:
    """The question to answer, or None if there is none.

    If several are open, an approval with a digest in `reply` selects its own. If none is open, the
    last closed one: its receipt then says how it ended.

    Raises:
        UsageError: Several are open, and there is no terminal to ask on.
        CliError: The one that is named is not on this ticket.
    """
    of_role = [row for row in rows if role in {None, *row.roles}]
    if question is not None:
        named = [row for row in of_role if row.id == question]
        if of_role and not named:
            raise CliError(
                f"no question {question!r} is open on ticket {ticket!r}",
                "this ticket has "
                + ", ".join(f"{row.id} ({row.status})" for row in of_role)
                + f"; `layby decision {shlex.quote(question)}` says how a closed one ended",
                kind="NoSuchQuestion",
            )
        return named[0] if named else None
    opened = [row for row in of_role if row.status == "open"]
    if len(opened) > 1:
        if approved := _approved(opened, reply):
            return approved
        return _chosen_by_number(opened) if ask else _listed(opened, ticket, command)
    return opened[0] if opened else (of_role[-1] if of_role else None)


def _approved(opened: Sequence[QuestionRow], reply: str) -> QuestionRow | None:
    """The question whose digest an approval names."""
    from ...actors.people.answer import digest_in

    named = digest_in(reply, structured=False) or digest_in(reply, structured=True)
    return next((row for row in opened if named and row.digest == named), None)


def _listed(opened: Sequence[QuestionRow], ticket: str, command: AnswerCommand) -> QuestionRow:
    lines = "\n".join(f"  {_brief(row)}\n    {command.line(row.id)}" for row in opened)
    candidates = [
        {"id": row.id, "question": row.question, "command": command.line(row.id)} for row in opened
    ]
    raise CliError(
        f"{len(opened)} questions are open on ticket {ticket!r}: name one\n{lines}",
        "`layby questions` shows their full text",
        code=USAGE,
        kind="Ambiguous",
        facts={"candidates": candidates},
    )


def _chosen_by_number(opened: Sequence[QuestionRow]) -> QuestionRow:
    import typer

    for number, row in enumerate(opened, 1):
        typer.echo(f"{number}  {_brief(row)}", err=True)
    choice = str(typer.prompt("Which one", err=True))
    if choice.isdigit() and 0 < int(choice) <= len(opened):
        return opened[int(choice) - 1]
    raise UsageError(f"{choice!r} is not on the list", f"give a number from 1 to {len(opened)}")


def _brief(row: QuestionRow) -> str:
    first = one_line(row.question, _BRIEF)
    return safe(f"{row.id}  {', '.join(row.roles)}, run {row.run[:8]}: {first}")


def answer_heading(row: QuestionRow) -> Text:
    """Which question is about to be answered."""
    from rich.text import Text

    return Text(f"answering {_brief(row)}", style="dim")


def act_heading(row: QuestionRow, verb: str) -> Text:
    """Which question is about to be claimed, passed on or declined."""
    from rich.text import Text

    return Text(f"{verb}: {_brief(row)}", style="dim")


def form_of(row: QuestionRow) -> list[str]:
    """What an answer must be, line by line; empty if any text will do."""
    if row.form is None or row.digest:  # the context of an approval contains it
        return []
    from ...actors.people.answer_lines import form_lines

    return [safe(line) for line in form_lines(row.form)]


def command_for(row: QuestionRow, call: Invocation, responder: str = "") -> str:
    """The command that answers this question, even if others are open on its ticket."""
    signs = ["--nkey", "FILE"] if "signature" in row.accept else []
    several = ["--role", row.role] if len(row.roles) > 1 else []
    options = [*several, *signs, *(["--responder", responder] if responder else [])]
    return AnswerCommand(call, row.ticket, _example(row), tuple(options)).line(row.id)


def for_voting_role(row: QuestionRow, role: str | None, person: str) -> QuestionRow:
    """A question as asked of one of its roles: the one that `person` answers for.

    Raises:
        UsageError: several are asked, and it is not clear which.
    """
    if len(row.roles) == 1:
        return row
    from msgspec.structs import replace

    from ...actors.people.answer_lines import accepted_from
    from ...runtime.quorum import may_answer_for

    possible = [role] if role is not None else may_answer_for(row, person)
    if len(possible) != 1:
        raise UsageError(
            f"question {row.id} asks {' and '.join(row.roles)}, and each person has one vote",
            f"say which of them your vote is for: --role {possible[0] if possible else row.role}",
        )
    return replace(row, role=possible[0], accept=list(accepted_from(row, possible[0])))


def print_signed(question: Signable, signed: Signed) -> None:
    """Show on stderr everything that was signed: a signature covers what was seen."""
    from rich.text import Text

    statement = signed.statement
    console = stderr()
    lines = [question.question, question.context]
    if question.call is not None:
        lines.append(f"{question.call.tool} {question.call.arguments}")
    for line in filter(None, lines):
        console.print(Text(safe(line), style="dim"), soft_wrap=True)
    head = f"signed as {statement.by}, with {signed.signature.key}"
    console.print(Text(f"{head}\nSHA-256 of the question: {statement.asked}"), soft_wrap=True)
    console.print(Text(f"the answer: {safe(statement.answer)}"), soft_wrap=True)


def _example(row: QuestionRow) -> str:
    if row.digest:
        return f"approve {row.digest}"
    if row.form is None:
        return "your answer"
    from ...runtime.form_text import example

    return example(row.form)
