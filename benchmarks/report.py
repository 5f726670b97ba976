"""The tables: every figure next to those of the floor and the peers, and what was aimed at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from .measure import Figure, more_is_better
from .reach import Reached

OURS = "layby"
FLOOR = "floor"


class Row(NamedTuple):
    """One line of a table: a figure of everybody who has it."""

    name: str
    unit: str
    values: dict[str, float]


def show(console: Console, figures: Sequence[Figure], notes: Sequence[str]) -> None:
    """Print one table for each workload and durability."""
    for title, chosen in parts(figures):
        console.print(_table(title, chosen))
    for note in notes:
        console.print(f"[dim]{note}[/]")


def show_reach(console: Console, reached: Sequence[Reached]) -> None:
    """Print what was aimed at and what came of it."""
    table = Table("aim", "measured", "", title="reach", title_justify="left")
    for line in reached:
        table.add_row(line.aim, line.measured, "[green]yes[/]" if line.held else "[red]no[/]")
    console.print(table)


def _table(title: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings(figures)):
        table.add_column(heading, justify="right" if place > 1 else "left", no_wrap=True)
    for row in rows(figures):
        table.add_row(row.name, row.unit, *cells(row, figures))
    return table


def parts(figures: Sequence[Figure]) -> Iterator[tuple[str, list[Figure]]]:
    """The figures of each table, with its title; a peer has one durability and stands in each."""
    for workload, sync in dict.fromkeys((f.workload, f.sync) for f in figures):
        chosen = [
            figure
            for figure in figures
            if figure.workload == workload and (figure.sync == sync or _peers([figure.subject]))
        ]
        yield f"{workload}, sync_interval {sync}", chosen


def headings(figures: Iterable[Figure]) -> list[str]:
    """What the columns of a workload's table hold."""
    subjects = _subjects(figures)
    ratios = ["of the floor"] if FLOOR in subjects and OURS in subjects else []
    return ["", "unit", *subjects, *ratios, *(["best peer"] if _peers(subjects) else [])]


def cells(row: Row, figures: Iterable[Figure]) -> list[str]:
    """A row's values and how ours compares, below its name and unit."""
    subjects = _subjects(figures)
    found = [number(row.values.get(subject)) for subject in subjects]
    if FLOOR in subjects and OURS in subjects:
        found.append(_times(row, row.values.get(FLOOR)))
    if peers := _peers(subjects):
        found.append(_times(row, _best(row, peers)))
    return found


def rows(figures: Iterable[Figure]) -> list[Row]:
    """The figures of one workload, those of one name in one row."""
    found: dict[str, Row] = {}
    for figure in figures:
        row = found.setdefault(figure.name, Row(figure.name, figure.unit, {}))
        row.values[figure.subject] = figure.value
    return list(found.values())


def _subjects(figures: Iterable[Figure]) -> list[str]:
    found = {figure.subject for figure in figures}
    peers = sorted(found - {OURS, FLOOR})
    return [subject for subject in (FLOOR, OURS, *peers) if subject in found]


def _peers(subjects: Iterable[str]) -> list[str]:
    return [subject for subject in subjects if subject not in {OURS, FLOOR}]


def _best(row: Row, peers: Iterable[str]) -> float | None:
    found = [row.values[peer] for peer in peers if peer in row.values]
    if not found:
        return None
    return max(found) if more_is_better(row.unit) else min(found)


def _times(row: Row, other: float | None) -> str:
    """How many times better ours is than the other, below 1 when it is worse."""
    ours = row.values.get(OURS)
    if not ours or not other:
        return ""
    return f"{ours / other if more_is_better(row.unit) else other / ours:.2f}x"


def number(value: float | None) -> str:
    """A value with as many digits as mean something."""
    if value is None:
        return ""
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}"
