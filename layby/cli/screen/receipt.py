"""The receipt of an answer, or of another act on a question, on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...bus.token import is_word
from .errors import UsageError
from .output import stdout
from .untrusted_text import one_line, safe

if TYPE_CHECKING:
    from ...actors.people.answer import Receipt
    from .question import AnswerCommand


def checked_name(responder: str | None) -> str | None:
    """A name that can be part of a subject. Raises UsageError."""
    if responder is not None and not is_word(responder):
        raise UsageError(
            f"{responder!r} cannot be used as a name in a subject",
            "use letters, digits, _ and - only",
        )
    return responder


def print_receipt(receipt: Receipt, command: AnswerCommand) -> None:
    """Print the outcome of an answer, why it was refused, and the `command` to send instead."""
    from rich.text import Text

    from ...actors.people.answer import TAKEN

    accepted = receipt.outcome in {*TAKEN, "recorded", "replied"}
    head = Text(receipt.outcome.replace("_", " "), style="green" if accepted else "yellow")
    head.append(f"  {one_line(receipt.ticket)}", style="bold")
    if receipt.question:
        head.append(f"  question {receipt.question}", style="dim")
    if receipt.by:
        head.append(f"  by {one_line(receipt.by)}", style="dim")
    stdout().print(head, soft_wrap=True)
    if receipt.reason:
        stdout().print(one_line(receipt.reason), soft_wrap=True)
    if isinstance(receipt.reply, str):
        stdout().print(Text(safe(receipt.reply)), soft_wrap=True)
    for candidate in receipt.candidates:
        line = f"  {candidate.id}  {one_line(candidate.question, 100)}"
        stdout().print(Text(line, style="dim"), soft_wrap=True)
        stdout().print(Text(f"    {command.line(candidate.id)}"), soft_wrap=True)
