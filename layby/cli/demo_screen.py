"""What a person sees of the demo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.text import Text

from ..rows import QuestionRow, Receipt, RunDetail, TimelineLine
from . import shell, times
from .ending import ending
from .foreign import one_line, safe
from .timeline import Timeline

_PARKED = "  The run is parked: no worker holds it. Ctrl-C, and the next demo goes on from here."
_PROMPT = "  your answer > "
_EXAMPLE = "Fixed in v1.1.4"
_TALL = 40
"""Rows of a screen on which the story, the question and all that is said of it have room."""
_STORY = 8
"""Rows of the story before a question."""
_BESIDE = 5
"""Rows beside a question and the commands that answer it: its frame, a remark, the prompt."""
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
        """Say what is about to happen, and with which model."""
        print_ = self._console.print
        print_()
        print_(Text.assemble(("  Layby demo", "bold"), (f"  ticket {ticket}", "dim")))
        if claude:
            print_("  Model: Claude, as ANTHROPIC_API_KEY is set.", style="dim")
        else:
            print_("  Model: an offline script, as ANTHROPIC_API_KEY is not set.", style="dim")
        print_(f"  Data:  {data}", style="dim", soft_wrap=True)

    def staged(self, url: str, workers: Sequence[str]) -> None:
        """Say what has been started."""
        self._console.print(f"  NATS:  {url}, {len(workers)} workers", style="dim")
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
            self._few_words(commands)
        else:
            self._ways(commands)
        self.prompt()

    def prompt(self) -> None:
        """Invite to type."""
        if self._typing:
            self._leave_prompt()
            self._console.print(Text(_PROMPT, style="bold yellow"), end="")
            self._console.file.flush()
            self._prompted = True

    def typed(self) -> None:
        """The person has ended the line of the prompt."""
        self._prompted = False

    def refused(self, receipt: Receipt) -> None:
        """Say why an answer was not taken."""
        reason = one_line(receipt.reason or "no reason was given")
        self.note(f"{receipt.outcome.replace('_', ' ')}: {reason}", style="yellow")

    def ended(self, detail: RunDetail) -> None:
        """Show how the run ended."""
        self._leave_prompt()
        self._console.print()
        self._console.print(ending(detail))

    @property
    def _is_short(self) -> bool:
        """Whether the question would push the story off the screen."""
        return self._console.is_terminal and self._console.height < _TALL

    def _rows_for_context(self, question: QuestionRow, commands: Sequence[str]) -> int:
        """How many rows of context leave the story on the screen; 0: all of them."""
        if not self._is_short:
            return 0
        asked = len(Text(safe(question.question)).wrap(self._console, self._console.width - 4))
        said = sum(math.ceil((2 + len(each)) / self._console.width) for each in commands)
        return max(1, self._console.height - _STORY - _BESIDE - asked - said)

    def _few_words(self, commands: Sequence[str]) -> None:
        """The ways to answer, in as few rows as can be."""
        here = "Type your answer, or in another terminal" if self._typing else "Answer it"
        self._console.print(f"  It is parked: no worker holds it. {here}:", style="dim")
        for each in commands:
            self._command(each)

    def _ways(self, commands: Sequence[str]) -> None:
        self._console.print(_PARKED, style="dim")
        if self._typing:
            self._console.print("\n  Type your answer here,")
        for how, each in zip(_HOW, commands, strict=True):
            self._console.print(f"  {how}")
            self._command(each)
        self._console.print()

    def _command(self, line: str) -> None:
        """Never wrapped by rich: it must survive being copied."""
        self._console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)

    def _leave_prompt(self) -> None:
        if self._prompted:
            self._console.print()
            self._prompted = False


def _question(question: QuestionRow, rows: int) -> Panel:
    """The question in a frame, with at most so many rows of context; 0: with all of it."""
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
    """The context of a question, cut to so many rows; it says what is cut off."""

    def __init__(self, text: str, rows: int) -> None:
        self._text = Text(text, style="dim")
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = list(self._text.wrap(console, options.max_width))
        if 0 < self._rows < len(lines):
            left = len(lines) - self._rows + 1
            lines = [*lines[: self._rows - 1], Text(_CUT.format(left), style="dim italic")]
        yield from lines
