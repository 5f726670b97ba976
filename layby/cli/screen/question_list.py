"""Open questions: a table where there is room, otherwise one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ...views.rows import QuestionRow
from . import times
from .question import command_for
from .tables import NARROW, deadline, question_table, question_text
from .untrusted_text import one_line

if TYPE_CHECKING:
    from ..invocation import Invocation


def question_list(
    rows: Sequence[QuestionRow], width: int, *, now: datetime | None = None
) -> RenderableType:
    """The open questions in full, for a screen of this width."""
    if width >= NARROW:
        return question_table(rows, now=now)
    return Group(*(_block(row, now, first=row is rows[0]) for row in rows))


def _block(row: QuestionRow, now: datetime | None, *, first: bool) -> Text:
    """One question: a heading, and everything else below it in the full width."""
    text = Text.assemble(
        "" if first else "\n",
        (one_line(row.ticket), "bold"),
        (f"  {row.id}  ", "dim"),
        f"{', '.join(row.roles)}  ",
        deadline(row.deadline, now, separator=", until "),
        (f"\nasked by {one_line(row.agent)}, {times.ago(row.asked_at, since=now)}", "dim"),
        "\n",
        question_text(row, now),
    )
    text.overflow = "fold"
    return text


def print_questions(
    console: Console,
    call: Invocation,
    rows: Sequence[QuestionRow],
    *,
    now: datetime | None = None,
) -> None:
    """Print open questions, and the command that answers each."""
    console.print(question_list(rows, console.width, now=now))
    console.print(Text("\nTo answer:", style="dim"))
    for row in rows:
        console.print(Text(command_for(row, call)), soft_wrap=True)
