"""One run on the screen: its head, its history, its questions, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ...views.rows import RunDetail
    from ..invocation import Invocation


def print_run(console: Console, call: Invocation, detail: RunDetail) -> None:
    """Print a whole run: its head, its history, its end."""
    print_head(console, detail)
    _print_steps(console, detail)
    _print_children(console, detail)
    _print_questions(console, call, detail)
    print_end(console, detail)


def print_head(console: Console, detail: RunDetail) -> None:
    """Print which run this is."""
    from rich.text import Text

    from . import times
    from .tables import status_text
    from .untrusted_text import one_line

    head = Text.assemble((one_line(detail.ticket), "bold"), f"  {detail.workflow}  ")
    console.print(head.append_text(status_text(detail.status)))
    if detail.title:
        console.print(Text(one_line(detail.title)))
    started = f"run {detail.id}, started {times.clock(detail.started_at)}"
    console.print(Text(started, style="dim"))
    trace = f"trace {detail.trace}" if detail.trace else ""
    for line in filter(None, (_labels(detail), _spent(detail), trace)):
        console.print(Text(one_line(line), style="dim"))
    console.print()


def _labels(detail: RunDetail) -> str:
    return ", ".join(f"{name}:{value}" for name, value in detail.labels.items())


def _spent(detail: RunDetail) -> str:
    if not (detail.input_tokens or detail.output_tokens):
        return ""
    tokens = f"{detail.input_tokens:,} tokens read, {detail.output_tokens:,} written"
    return tokens if detail.cost is None else f"{tokens}, ${detail.cost:,.4f}"


def print_end(console: Console, detail: RunDetail) -> None:
    """Print the result or the error, if there is one yet."""
    from .run_outcome import outcome_panel

    if shown := outcome_panel(detail):
        console.print()
        console.print(shown)


def _print_steps(console: Console, detail: RunDetail) -> None:
    """Print what has happened so far, oldest first."""
    from .timeline import Timeline

    timeline = Timeline(console, start=detail.started_at)
    for step in detail.steps:
        timeline.step(step)


def _print_children(console: Console, detail: RunDetail) -> None:
    """Print the runs that this one has started, if any."""
    if detail.children:
        from .tables import run_table

        console.print()
        console.print(run_table(detail.children, width=console.width))


def _print_questions(console: Console, call: Invocation, detail: RunDetail) -> None:
    """Print the open questions, what an answer must be, and how to give it."""
    if detail.questions:
        from .question_list import print_questions

        console.print()
        print_questions(console, call, detail.questions)
