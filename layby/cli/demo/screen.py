"""What the demo prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.text import Text

from ...actors.people.answer import Receipt
from ...views.rows import QuestionRow, RunDetail, TimelineLine
from ..screen import shell, times
from ..screen.run_outcome import outcome_panel
from ..screen.timeline import Timeline
from ..screen.untrusted_text import one_line, safe

_PARKED = (
    "  The run is parked: no worker holds it.\n"
    "  You may press Ctrl-C: the next demo continues here."
)
_PROMPT = "  your answer > "
_EXAMPLE = "Fixed in v1.1.4"
_TALL = 40
"""Rows of a screen that fits the timeline, the question and the ways to answer it."""
_TIMELINE_ROWS = 8
"""Rows of the timeline before a question."""
_FRAME_ROWS = 5
"""Rows around a question and the commands that answer it: its frame, a remark, the prompt."""
_HOW = ("from another terminal, in this folder:", "or with the nats CLI alone:")
_CUT = "\u2026 {} more lines: `layby questions` shows them"


class Screen:
    """The demo's timeline, the question with the ways to answer it, and the prompt.

    Args:
        console: Where to print.
        typing: Whether a person can type an answer here.
    """

    def __init__(self, console: Console, *, typing: bool) -> None:
        self._console = console
        self._typing = typing
        self._prompted = False
        self._timeline = Timeline(console)

    def opening(self, ticket: str, data: Path, *, claude: bool) -> None:
        """Print what is about to happen, and with which model."""
        print_ = self._console.print
        print_()
        print_(Text.assemble(("  Layby demo", "bold"), (f"  ticket {ticket}", "dim")))
        if claude:
            print_("  Model: Claude (ANTHROPIC_API_KEY is set).", style="dim")
        else:
            print_("  Model: offline script (ANTHROPIC_API_KEY is not set).", style="dim")
        print_(f"  Data:  {data}", style="dim", soft_wrap=True)

    def started(self, url: str, workers: Sequence[str], console: str = "") -> None:
        """Print what has been started."""
        self._console.print(f"  NATS:  {url}, {len(workers)} workers", style="dim")
        if console:
            self._console.print(f"  Look:  {console}", soft_wrap=True)
        self._console.print()

    def line(self, line: TimelineLine) -> None:
        """Print one line of the timeline."""
        self._leave_prompt()
        if line.kind == "question.asked":
            line = replace(line, detail="")  # a panel shows it in full
        self._timeline.line(line)

    def note(self, text: str, style: str = "dim") -> None:
        """Print a remark of the demo's own."""
        self._leave_prompt()
        self._console.print(f"  {text}", style=style, soft_wrap=True)

    def question(
        self, question: QuestionRow, subject: str, before: str = "", before_nats: str = ""
    ) -> None:
        """Show an open question, its deadline and the ways to answer it."""
        self._leave_prompt()
        self._console.print()
        commands = (
            shell.answer(before, question.ticket, _EXAMPLE),
            shell.nats_publish(before_nats, subject, {"answer": _EXAMPLE}),
        )
        self._console.print(_question(question, self._rows_for_context(question, commands)))
        if self._is_short:
            self._print_short(commands)
        else:
            self._print_full(commands)
        self.prompt()

    def prompt(self) -> None:
        """Print the prompt for an answer."""
        if self._typing:
            self._leave_prompt()
            self._console.print(Text(_PROMPT, style="bold yellow"), end="")
            self._console.file.flush()
            self._prompted = True

    def typed(self) -> None:
        """Note that the person has ended the line of the prompt."""
        self._prompted = False

    def refused(self, receipt: Receipt) -> None:
        """Print why an answer was not accepted."""
        reason = one_line(receipt.reason or "no reason was given")
        self.note(f"{receipt.outcome.replace('_', ' ')}: {reason}", style="yellow")

    def ended(self, detail: RunDetail) -> None:
        """Show how the run ended."""
        self._leave_prompt()
        self._console.print()
        self._console.print(outcome_panel(detail))

    @property
    def _is_short(self) -> bool:
        """Whether the question would push the timeline off the screen."""
        return self._console.is_terminal and self._console.height < _TALL

    def _rows_for_context(self, question: QuestionRow, commands: Sequence[str]) -> int:
        """How many rows of context leave room for the timeline; 0 means all of them."""
        if not self._is_short:
            return 0
        asked = len(Text(safe(question.question)).wrap(self._console, self._console.width - 4))
        commands_rows = sum(math.ceil((2 + len(each)) / self._console.width) for each in commands)
        return max(1, self._console.height - _TIMELINE_ROWS - _FRAME_ROWS - asked - commands_rows)

    def _print_short(self, commands: Sequence[str]) -> None:
        """Print the ways to answer, in few rows."""
        here = "Type your answer, or in another terminal" if self._typing else "Answer it"
        self._console.print(f"  It is parked: no worker holds it. {here}:", style="dim")
        for each in commands:
            self._command(each)

    def _print_full(self, commands: Sequence[str]) -> None:
        self._console.print(_PARKED, style="dim")
        if self._typing:
            self._console.print("\n  Type your answer here,")
        for how, each in zip(_HOW, commands, strict=True):
            self._console.print(f"  {how}")
            self._command(each)
        self._console.print()

    def _command(self, line: str) -> None:
        """Print a command, never wrapped, so that it can be copied."""
        self._console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)

    def _leave_prompt(self) -> None:
        if self._prompted:
            self._console.print()
            self._prompted = False


def _question(question: QuestionRow, rows: int) -> Panel:
    """The question in a frame, with at most `rows` rows of context; 0 means all of it."""
    body: list[RenderableType] = [Text(safe(question.question), style="bold")]
    if question.context:
        body.append(_Context(safe(question.context), rows))
    deadline = f"{times.left(question.deadline)}, until {times.clock(question.deadline)}"
    title = f"{one_line(question.agent)} asks {question.role} about {one_line(question.ticket)}"
    return Panel(
        Group(*body),
        title=Text(title, style="yellow"),
        title_align="left",
        subtitle=Text(deadline, style="yellow"),
        subtitle_align="left",
        border_style="yellow",
        box=box.ROUNDED,
        padding=(0, 1),
    )


class _Context:
    """The context of a question, cut to a number of rows, with a note of what is cut off."""

    def __init__(self, text: str, rows: int) -> None:
        self._text = Text(text, style="dim")
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = list(self._text.wrap(console, options.max_width))
        if 0 < self._rows < len(lines):
            left = len(lines) - self._rows + 1
            lines = [*lines[: self._rows - 1], Text(_CUT.format(left), style="dim italic")]
        yield from lines
