"""The chart of runs by time and status, as the geometry of its bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from ..catalogue.entries import Bar
from .words import clock, look

_HEIGHT: Final = 72.0
_GAP: Final = 0.6
_LEAST: Final = 2.6
"""The height of a part with few runs, which must still be seen."""
_ORDER: Final = (
    ("wait", "waiting for people", ("waiting",)),
    ("work", "running", ("running",)),
    ("back", "retrying", ("retrying",)),
    ("queue", "sleeping", ("sleeping",)),
    ("fail", "failed", ("failed", "timed_out", "max_turns", "budget_spent", "blocked")),
    ("donebar", "completed", ("completed", "cancelled", "erased")),
)


class Piece(NamedTuple):
    """The runs of one colour in a bar."""

    css: str
    y: str
    height: str


class Column(NamedTuple):
    """A bar, in percent of the chart's width."""

    x: str
    step: str
    width: str
    words: str
    address: str
    parts: list[Piece]


class Tick(NamedTuple):
    """A word below the chart."""

    x: str
    words: str
    anchor: str = ""
    optional: bool = False


class Chart(NamedTuple):
    """All that the template draws."""

    title: str
    words: str
    total: int
    most: int
    keys: list[tuple[str, str]]
    bars: list[Column]
    ticks: list[Tick]


def chart(title: str, bars: Sequence[Bar], address: Callable[[str, str], str]) -> Chart:
    """Lay out the bars; `address` is where a bar leads, by its times."""
    most = max((sum(bar.counts.values()) for bar in bars), default=0)
    step = 100 / max(1, len(bars))
    columns = [
        _column(bar, number * step, step, most, address)
        for number, bar in enumerate(bars)
        if bar.counts
    ]
    totals: dict[str, int] = {}
    for bar in bars:
        for status, count in bar.counts.items():
            totals[status] = totals.get(status, 0) + count
    keys = [(css, word) for css, word, names in _ORDER if any(map(totals.get, names))]
    return Chart(
        title=title,
        words=_words(totals) or "none",
        total=sum(totals.values()),
        most=most,
        keys=keys,
        bars=columns,
        ticks=_ticks(bars),
    )


def _column(
    bar: Bar, x: float, step: float, most: int, address: Callable[[str, str], str]
) -> Column:
    parts: list[Piece] = []
    bottom = _HEIGHT
    for css, _, names in _ORDER:
        count = sum(bar.counts.get(name, 0) for name in names)
        if count:
            height = max(_LEAST, (_HEIGHT - _LEAST * len(_ORDER)) * count / most)
            bottom -= height
            parts.append(Piece(css, f"{bottom:.1f}", f"{height - _GAP:.1f}"))
    words = f"{clock(bar.start)}: {_words(bar.counts)}"
    return Column(
        f"{x:.3f}", f"{step:.3f}", f"{step * 0.8:.3f}", words, address(bar.start, bar.end), parts
    )


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {look(status).word}" for status, count in sorted(counts.items()))


def _ticks(bars: Sequence[Bar]) -> list[Tick]:
    if not bars:
        return []
    quarter = len(bars) / 4
    ticks: list[Any] = [
        Tick(f"{part * 25}", clock(bars[int(part * quarter)].start), optional=part in {1, 3})
        for part in range(4)
    ]
    return [*ticks, Tick("100", clock(bars[-1].end), anchor="end")]
