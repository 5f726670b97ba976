"""The tables: every figure beside those of the floor and the peers, and what was aimed at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from .measure import Figure
from .reach import Reached

OURS = "layby"
FLOOR = "floor"


class _Row(NamedTuple):
    name: str
    unit: str
    values: dict[str, float]


def show(console: Console, figures: Sequence[Figure], notes: Sequence[str]) -> None:
    """Print one table for each workload and durability."""
    for workload, sync in dict.fromkeys((f.workload, f.sync) for f in figures):
        chosen = [f for f in figures if (f.workload, f.sync) == (workload, sync)]
        console.print(_table(f"{workload}, sync_interval {sync}", chosen))
    for note in notes:
        console.print(f"[dim]{note}[/]")


def show_reach(console: Console, reached: Sequence[Reached]) -> None:
    """Print what was aimed at and what came of it."""
    table = Table("aim", "measured", "", title="reach", title_justify="left")
    for line in reached:
        table.add_row(line.aim, line.measured, "[green]yes[/]" if line.held else "[red]no[/]")
    console.print(table)


def _table(title: str, figures: Sequence[Figure]) -> Table:
    subjects = list(dict.fromkeys(figure.subject for figure in figures))
    peers = [subject for subject in subjects if subject not in {OURS, FLOOR}]
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for subject in subjects:
        table.add_column(subject, justify="right", no_wrap=True)
    if FLOOR in subjects:
        table.add_column("of the floor", justify="right", no_wrap=True)
    if peers:
        table.add_column("best peer", justify="right", no_wrap=True)
    for row in _rows(figures):
        cells = [number(row.values.get(subject)) for subject in subjects]
        if FLOOR in subjects:
            cells.append(_times(row, row.values.get(FLOOR)))
        if peers:
            cells.append(_times(row, _best(row, peers)))
        table.add_row(row.name, row.unit, *cells)
    return table


def _rows(figures: Iterable[Figure]) -> list[_Row]:
    rows: dict[str, _Row] = {}
    for figure in figures:
        row = rows.setdefault(figure.name, _Row(figure.name, figure.unit, {}))
        row.values[figure.subject] = figure.value
    return list(rows.values())


def more_is_better(unit: str) -> bool:
    """Whether a figure in this unit is a rate."""
    return unit.endswith("/s")


def _best(row: _Row, peers: Iterable[str]) -> float | None:
    found = [row.values[peer] for peer in peers if peer in row.values]
    if not found:
        return None
    return max(found) if more_is_better(row.unit) else min(found)


def _times(row: _Row, other: float | None) -> str:
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
