"""A run as a story: one line for each thing that happened, told live or afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..rows import StepRow, TimelineLine
from . import times
from .foreign import one_line, safe
from .output import unicode

ACTOR_WIDTH = 18
_OFFSET_WIDTH = 7


@dataclass(frozen=True, slots=True)
class Mark:
    """How a kind of line looks: a sign, the same sign in ASCII, and a style."""

    sign: str
    ascii: str
    style: str


_PLAIN = Mark("·", "-", "dim")
MARKS: Mapping[str, Mark] = {
    "run.started": Mark("●", "*", "cyan"),
    "step.done": Mark("✓", "+", "green"),
    "step.failed": Mark("✗", "x", "red"),
    "route": Mark("→", ">", "cyan"),
    "turn.started": Mark("·", "-", "dim"),
    "model.responded": Mark("·", "-", "dim"),
    "tool.called": Mark("✓", "+", "green"),
    "tool.failed": Mark("✗", "x", "yellow"),
    "question.asked": Mark("?", "?", "bold yellow"),
    "question.answered": Mark("✓", "+", "bold green"),
    "question.expired": Mark("!", "!", "red"),
    "run.resumed": Mark("●", "*", "cyan"),
    "slept": Mark("○", "o", "dim"),
    "woke": Mark("●", "*", "dim"),
    "cancelled": Mark("■", "#", "red"),
    "run.ended": Mark("■", "#", "bold"),
}


class Timeline:
    """Prints the lines of runs, each with its time since `start`.

    Args:
        console: Where to print.
        start: ISO 8601 time of offset zero; None takes the first line's.
    """

    def __init__(self, console: Console, *, start: str | None = None) -> None:
        self._console = console
        self._start = start
        self._unicode = unicode(console)

    def line(self, line: TimelineLine) -> None:
        """Print one live line."""
        self._print(line.at, line.kind, line.actor, line.title, line.detail)

    def step(self, step: StepRow) -> None:
        """Print one line of a run's history."""
        took = "" if step.seconds is None else f"  {times.span(step.seconds)}"
        self._print(step.at, step.kind, step.actor, step.name, step.detail, took)

    def offset(self, at: str) -> str:
        """The time from the start to `at`, as a person reads it."""
        self._start = self._start or at
        return times.offset((times.parse(at) - times.parse(self._start)).total_seconds())

    def _print(
        self, at: str, kind: str, actor: str, title: str, detail: str, took: str = ""
    ) -> None:
        mark = MARKS.get(kind, _PLAIN)
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=_OFFSET_WIDTH, justify="right", style="dim", no_wrap=True)
        row.add_column(width=1)
        row.add_column(width=ACTOR_WIDTH, no_wrap=True, overflow="ellipsis")
        row.add_column(overflow="fold")
        sign = Text(mark.sign if self._unicode else mark.ascii, style=mark.style)
        row.add_row(self.offset(at), sign, Text(one_line(actor)), _what(kind, title, detail, took))
        self._console.print(row)


def _what(kind: str, title: str, detail: str, took: str) -> Text:
    text = Text(safe(title) or kind, style="bold" if kind in _LOUD else "")
    if detail:
        text.append(f"  {safe(detail)}", style="not bold dim")
    return text.append(took, style="not bold dim")


_LOUD = {"question.asked", "question.answered", "question.expired", "run.ended"}
