"""The timeline of a run: one line for each thing that happened, live or afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from ...views.rows import StepRow, TimelineLine
from . import times
from .output import unicode
from .untrusted_text import one_line, safe

ACTOR_WIDTH = 18
_OFFSET_WIDTH = 7
_LEAST_WIDTH = 20
_SLOW = 0.1
"""Seconds from which the duration of a step is shown."""

_HIDDEN = {"turn.started"}
"""What the line before or after says already."""

_LOUD = {
    "answer.refused",
    "card.failed",
    "card.held",
    "question.asked",
    "question.answered",
    "question.asked_back",
    "question.claimed",
    "question.declined",
    "question.escalated",
    "question.expired",
    "question.on_duty",
    "question.passed",
    "question.reminded",
    "question.replied",
    "question.undelivered",
    "run.blocked",
    "run.ended",
    "run.reopened",
    "run.unblocked",
    "step.failed",
    "step.retried",
}
"""What people look for: shown in full. Everything else takes one line."""

_QUIET = {"network.started", "model.responded", "slept", "woke"}


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
    "tool.called": Mark("✓", "+", "green"),
    "tool.failed": Mark("✗", "x", "yellow"),
    "question.asked": Mark("?", "?", "bold yellow"),
    "question.answered": Mark("✓", "+", "bold green"),
    "question.reminded": Mark("?", "?", "yellow"),
    "question.escalated": Mark("?", "?", "bold yellow"),
    "question.claimed": Mark("?", "?", "yellow"),
    "question.passed": Mark("?", "?", "bold yellow"),
    "question.declined": Mark("?", "?", "yellow"),
    "question.asked_back": Mark("?", "?", "bold yellow"),
    "question.replied": Mark("✓", "+", "green"),
    "question.on_duty": Mark("·", "-", "yellow"),
    "question.opened": Mark("·", "-", "dim"),
    "question.undelivered": Mark("!", "!", "red"),
    "card.sent": Mark("·", "-", "dim"),
    "card.held": Mark("·", "-", "yellow"),
    "card.failed": Mark("!", "!", "red"),
    "question.expired": Mark("!", "!", "red"),
    "answer.refused": Mark("!", "!", "red"),
    "run.blocked": Mark("■", "#", "bold red"),
    "run.unblocked": Mark("●", "*", "cyan"),
    "run.reopened": Mark("●", "*", "cyan"),
    "step.retried": Mark("●", "*", "cyan"),
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
        self._print(line.at, line.kind, line.actor, (line.title, line.detail))

    def step(self, step: StepRow) -> None:
        """Print one line of a run's history."""
        slow = step.seconds is not None and step.seconds >= _SLOW
        took = f"({times.span(step.seconds or 0)})  " if slow else ""
        self._print(step.at, step.kind, step.actor, (step.name, took + step.detail))

    def offset(self, at: str) -> str:
        """The time from the start to `at`, as a person reads it."""
        self._start = self._start or at
        return times.offset((times.parse(at) - times.parse(self._start)).total_seconds())

    def _print(self, at: str, kind: str, actor: str, words: tuple[str, str]) -> None:
        margin = self._margin(self.offset(at), kind, actor)
        if kind in _HIDDEN:
            return
        width = max(self._console.width - margin.cell_len, _LEAST_WIDTH)
        body = _body(kind, *words)
        if kind not in _LOUD:
            body.truncate(width, overflow="ellipsis")
        lines = body.wrap(self._console, width)
        for number, line in enumerate(lines):
            before = margin if number == 0 else Text(" " * margin.cell_len)
            self._console.print(before + line, soft_wrap=True)

    def _margin(self, offset: str, kind: str, actor: str) -> Text:
        mark = MARKS.get(kind, _PLAIN)
        who = Text(one_line(actor))
        who.truncate(ACTOR_WIDTH, overflow="ellipsis", pad=True)
        sign = Text(mark.sign if self._unicode else mark.ascii, style=mark.style)
        return Text.assemble((f"{offset:>{_OFFSET_WIDTH}}  ", "dim"), sign, "  ", who, "  ")


def _body(kind: str, title: str, detail: str) -> Text:
    if kind == "question.answered":
        title = "answered" + title.partition(" answered")[2]
    if kind in _TITLES:
        title = _TITLES[kind].format(title)
    loud = kind in _LOUD
    style = "dim" if kind in _QUIET else ("bold" if loud else "")
    text = Text((safe(title) if loud else one_line(title)) or kind, style=style)
    if detail:
        text.append(f"  {safe(detail) if loud else one_line(detail)}", style="not bold dim")
    return text


_TITLES = {
    "run.started": "started",
    "network.started": "asks the network {}",
    "woke": "continues with {}",
}
"""Titles of lines whose own title repeats the actor or needs another word."""
