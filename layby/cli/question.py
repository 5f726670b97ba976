"""One question on the screen: what it asks, what an answer must be, the command that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..login import login
from . import shell
from .errors import USAGE, CliError, UsageError
from .foreign import one_line, safe

if TYPE_CHECKING:
    from rich.text import Text

    from ..rows import QuestionRow
    from .invocation import Invocation

DEFAULT_ROLE = "developer"
_BRIEF = 100


def author(call: Invocation) -> str | None:
    """Who answers when nobody says: the NATS user, else the login of this machine."""
    return call.settings().owner or login()


def chosen(
    rows: Sequence[QuestionRow],
    ticket: str,
    *,
    role: str | None,
    question: str | None,
    reply: str,
    ask: bool,
) -> QuestionRow | None:
    """The question that is meant; None: there is none to be found.

    Where several are open, an approval with a digest in `reply` names its own. A closed one where
    no other is there: its receipt then says how it ended.

    Raises:
        UsageError: several are open, and nobody can be asked which.
        CliError: the one that is named is not on this ticket.
    """
    of_role = [row for row in rows if role in {None, row.role}]
    if question is not None:
        named = [row for row in of_role if row.id == question]
        if of_role and not named:
            raise CliError(
                f"question {question!r} is not on ticket {ticket!r}",
                f"asked there: {', '.join(row.id for row in of_role)}",
                kind="NoSuchQuestion",
            )
        return named[0] if named else None
    opened = [row for row in of_role if row.status == "open"]
    if len(opened) > 1:
        if approved := _approved(opened, reply):
            return approved
        return _asked_which(opened) if ask else _listed(opened, ticket)
    return opened[0] if opened else (of_role[-1] if of_role else None)


def _approved(opened: Sequence[QuestionRow], reply: str) -> QuestionRow | None:
    """The one whose digest an approval names."""
    from ..actors.answer import digest_in

    named = digest_in(reply, structured=False) or digest_in(reply, structured=True)
    return next((row for row in opened if named and row.digest == named), None)


def _listed(opened: Sequence[QuestionRow], ticket: str) -> QuestionRow:
    lines = "\n".join(f"  {_brief(row)}" for row in opened)
    raise CliError(
        f"{len(opened)} questions are open on ticket {ticket!r}: name one with --question\n{lines}",
        "`layby questions` shows them whole",
        code=USAGE,
        kind="Ambiguous",
        facts={"candidates": [{"id": row.id, "question": row.question} for row in opened]},
    )


def _asked_which(opened: Sequence[QuestionRow]) -> QuestionRow:
    import typer

    for number, row in enumerate(opened, 1):
        typer.echo(f"{number}  {_brief(row)}", err=True)
    said = typer.prompt("Which one", err=True)
    if str(said).isdigit() and 0 < int(said) <= len(opened):
        return opened[int(said) - 1]
    raise UsageError(f"{said!r} is none of them", f"give a number from 1 to {len(opened)}")


def _brief(row: QuestionRow) -> str:
    first = one_line(row.question, _BRIEF)
    return safe(f"{row.id}  {row.role}, run {row.run[:8]}: {first}")


def answering(row: QuestionRow) -> Text:
    """Which question is about to be answered."""
    from rich.text import Text

    return Text(f"answering {_brief(row)}", style="dim")


def form_of(row: QuestionRow) -> list[str]:
    """What an answer must be, line by line; nothing where any text will do."""
    if row.form is None or row.digest:  # of an approval the context says it
        return []
    from ..actors.ready import form_lines

    return [safe(line) for line in form_lines(row.form)]


def command_for(row: QuestionRow, call: Invocation) -> str:
    """The command that answers this question, whatever else is asked on its ticket."""
    signs = ["--nkey", "FILE"] if "signature" in row.accept else []
    options = ["answer", "--question", row.id, *signs]
    words = [*options, *(["--"] if row.ticket.startswith("-") else []), row.ticket, _example(row)]
    return shell.again(call, words)


def _example(row: QuestionRow) -> str:
    if row.digest:
        return f"approve {row.digest}"
    if row.form is None:
        return "your answer"
    from ..runtime.form_text import example

    return example(row.form)
