"""Tables of runs, questions and findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from ...views.rows import AuditRow, DeadRow, Finding, QuestionRow, RunRow
from . import times
from .cards import card_lines
from .ladder import ladder_lines
from .question import form_of
from .untrusted_text import one_line, safe

STATUS_STYLE: Mapping[str, str] = {
    "running": "cyan",
    "waiting": "yellow",
    "blocked": "bold red",
    "completed": "green",
    "failed": "red",
    "timed_out": "red",
    "max_turns": "magenta",
    "budget_spent": "magenta",
    "cancelled": "dim",
    "erased": "dim",
}
_REASONS = 5
NARROW = 100
"""Columns below which a list leaves out, or shows in another place, what is too wide."""
_VERY_NARROW = 75
"""Columns below which a list of runs has neither a start nor a reason: `layby show` has both."""
_CUT = {"ticket", "workflow", "reason"}
"""Columns of runs that are shortened if a line is too long, the longest first."""
_LEVEL_STYLE = {"ok": "green", "warn": "yellow", "error": "bold red"}
_OUTCOME_STYLE = {"done": "green", "waiting": "yellow"}
_URGENT = 15 * 60
_REASON = 120
"""Characters of a reason in a list of runs; `layby show` has it all."""


def run_table(rows: Sequence[RunRow], *, now: datetime | None = None, width: int = NARROW) -> Table:
    """Runs, one per line, coloured by status; child runs are below their parent."""
    why = any(row.reason for row in rows) and width >= _VERY_NARROW
    headers = ["run", "ticket", "workflow", "status", "started", "updated", "reason"]
    unused = {"started"} if width < (NARROW if why else _VERY_NARROW) else set[str]()
    unused |= set() if why else {"reason"}
    table = _table(*(header for header in headers if header not in unused))
    for column in table.columns:
        column.no_wrap = column.header not in _CUT
    for depth, row in with_depth(rows):
        cells = {
            "run": Text(f"{'  ' * (depth - 1)}└ {row.id}" if depth else row.id),
            "ticket": Text(one_line(row.ticket), style="bold"),
            "workflow": Text(row.workflow),
            "status": status_text(row.status),
            "started": Text(times.ago(row.started_at, since=now), style="dim"),
            "updated": Text(times.ago(row.updated_at, since=now), style="dim"),
            "reason": Text(one_line(row.reason, _REASON), style="dim"),
        }
        table.add_row(*(_on_one_line(cells[str(column.header)]) for column in table.columns))
    return table


def _on_one_line(text: Text) -> Text:
    """Never wrapped; cut with an ellipsis."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def blocked_reasons(rows: Sequence[RunRow]) -> list[Text]:
    """Why runs are blocked, and what to do about it, each reason once."""
    reasons = {(row.reason, row.needs): None for row in rows if row.needs}
    return [
        Text.assemble(
            ("blocked: ", STATUS_STYLE["blocked"]), one_line(reason), ("\n  " + needs, "yellow")
        )
        for reason, needs in reasons
    ][:_REASONS]


def with_depth(rows: Sequence[RunRow]) -> list[tuple[int, RunRow]]:
    """Rows with their depth: each run's children after it, the oldest first."""
    children: dict[str | None, list[RunRow]] = {}
    known = {row.id for row in rows}
    for row in rows:
        children.setdefault(row.parent if row.parent in known else None, []).append(row)

    def below(parent: str | None, depth: int) -> Iterator[tuple[int, RunRow]]:
        found = children.get(parent, [])
        for row in sorted(found, key=lambda each: each.started_at) if parent else found:
            yield depth, row
            yield from below(row.id, depth + 1)

    return list(below(None, 0))


def question_table(rows: Iterable[QuestionRow], *, now: datetime | None = None) -> Table:
    """Open questions, each with its context below it."""
    table = _table("ticket", "role", "question", "asked by", "deadline")
    for row in rows:
        table.add_row(
            Text.assemble((one_line(row.ticket), "bold"), "\n", (row.id, "dim")),
            "\n".join(row.roles),
            question_text(row, now),
            Text(f"{one_line(row.agent)}\n{times.ago(row.asked_at, since=now)}", style="dim"),
            deadline(row.deadline, now),
        )
    return table


def dead_table(rows: Iterable[DeadRow], *, now: datetime | None = None) -> Table:
    """Dead letters, each with its reason."""
    table = _table("id", "published", "subject", "reason")
    for row in rows:
        table.add_row(
            str(row.id),
            Text(times.ago(row.at, since=now), style="dim"),
            Text(one_line(row.subject), style="bold"),
            Text(one_line(row.reason), style="yellow"),
        )
    return table


def audit_table(
    rows: Iterable[AuditRow], *, now: datetime | None = None, width: int = NARROW
) -> Table:
    """Commands, each with its outcome and its reason; on a narrow screen, that is below `what`."""
    narrow = width < NARROW
    headers = ["id", "when", "who", "verb", "what", "outcome", "reason"]
    table = _table(*(header for header in headers if not (narrow and header == "reason")))
    for row in rows:
        reason = one_line("; ".join(filter(None, (row.why, row.reason))), _REASON)
        shown = Text(reason, style="dim")
        what = Text(one_line(row.what, _REASON))
        cells = [
            Text(str(row.id)),
            Text(times.ago(row.at, since=now), style="dim"),
            Text(one_line(row.by), style="bold"),
            Text(one_line(row.verb)),
            Text.assemble(what, "\n", shown) if narrow and reason else what,
            Text(row.outcome, style=_OUTCOME_STYLE.get(row.outcome, "red")),
        ]
        table.add_row(*cells, *([] if narrow else [shown]))
    return table


def finding_table(findings: Iterable[Finding]) -> Table:
    """What `doctor` found, with the advice below each finding."""
    table = _table("", "what", "finding")
    for finding in findings:
        message = Text(safe(finding.message))
        if finding.advice:
            message.append(f"\n{finding.advice}", style="dim")
        level = Text(finding.level, style=_LEVEL_STYLE[finding.level])
        table.add_row(level, finding.subject, message)
    return table


def status_text(status: str) -> Text:
    """A run's status in its colour."""
    return Text(status, style=STATUS_STYLE.get(status, ""))


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        wraps = column in {"question", "finding", "reason", "what"}
        table.add_column(column, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")
    return table


def question_text(row: QuestionRow, now: datetime | None = None) -> Text:
    """A question with its context, what an answer must be, and how far its ladder has come."""
    text = Text(safe(row.question))
    if row.context:
        text.append(f"\n{safe(row.context)}", style="dim")
    for line in form_of(row):
        text.append(f"\n{line}", style="italic dim")
    for line in (*ladder_lines(row, now), *card_lines(row, now)):
        text.append(f"\n{line}", style="yellow dim")
    if row.terms:
        text.append(f"\n{safe(row.terms)}: {safe(row.so_far)}")
    return text


def deadline(at: str, now: datetime | None, *, separator: str = "\n") -> Text:
    """How much time is left, and until when."""
    remaining = (times.parse(at) - (now or times.now())).total_seconds()
    style = "red" if remaining < _URGENT else ""
    text = Text(times.left(at, since=now), style=style)
    return text.append(f"{separator}{times.clock(at, since=now)}", style="dim")
