"""What happens by itself in the next hour: deadlines of questions, back-offs and sleeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from ...runtime.times import iso
from ...views.rows import QuestionRow, RunRow
from ..catalogue.catalogue import Catalogue
from .words import moment

HOUR: Final = 3600
LISTED: Final = 12
"""Timers in the table, at most."""
DRAWN: Final = 200
"""Timers on the line of the hour, at most: the next ones."""
_WAITS: Final = {"event": "no event came", "child": "a child run"}


class Timer(NamedTuple):
    """Something that happens by itself at a time."""

    at: str
    kind: Literal["question", "retry", "sleep"]
    what: str
    run: str
    ticket: str


class Timers(NamedTuple):
    """Those of the next hour.

    Attributes:
        next: The next ones, as many as are drawn.
        total: How many there are.
    """

    next: tuple[Timer, ...] = ()
    total: int = 0


async def timers(catalogue: Catalogue, now: float) -> Timers:
    """What is due within an hour from `now`, however many runs and questions there are."""
    until = iso(now + HOUR)
    asked = await catalogue.questions_due(until, DRAWN)
    asleep = await catalogue.runs_due(until, DRAWN)
    found = [*map(_deadline, asked.rows), *map(_wake, asleep.rows)]
    return Timers(tuple(sorted(found)[:DRAWN]), asked.total + asleep.total)


def _deadline(row: QuestionRow) -> Timer:
    return Timer(row.deadline, "question", f"deadline, {row.role}", row.run, row.ticket)


def _wake(run: RunRow) -> Timer:
    at = run.until or ""
    if run.waits == "retry":
        return Timer(at, "retry", "back-off", run.id, run.ticket)
    return Timer(at, "sleep", _WAITS.get(run.waits, "sleep"), run.id, run.ticket)


def on_line(found: Timers) -> list[tuple[Timer, float]]:
    """Where on the line of the next hour each is, in percent."""
    now = datetime.now(UTC)
    return [
        (each, min(100.0, max(0.0, (moment(each.at) - now).total_seconds() / HOUR * 100)))
        for each in found.next
    ]
