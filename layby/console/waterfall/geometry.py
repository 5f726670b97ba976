"""Where times are drawn on a row of the waterfall, in percent of its width. Pure.

A scale is a line with bends: it grows with time everywhere, but a long time in which nothing works
is folded into a column of one width. So a call of 200 ms and a wait of 84 minutes can both be read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

WHOLE: Final = 100.0
ROOM: Final = 8.0
"""Percent to the right of `now`, for the time that is left."""
NARROWEST: Final = 0.45
"""Percent that the shortest bar takes."""
_COLUMN: Final = 16.0
_ALL_COLUMNS: Final = 60.0
_WORTH: Final = 1.25
"""How many times wider than its column a time must be to be folded."""
SHORTEST_FOLD: Final = 1.0
"""Seconds."""
_MOST_FOLDS: Final = 24
_INSTANT: Final = 0.001
"""Seconds that a run of no length is drawn as."""


class Stretch(NamedTuple):
    """A time, in Unix seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


class Wait(NamedTuple):
    """A time in which a run waits for something."""

    kind: str
    """`people`, `backoff`, `sleep`, `event`, `child` or `queue`."""
    start: float
    end: float


class Bar(NamedTuple):
    """A place on a row, in percent."""

    x: float
    width: float


class Fold(NamedTuple):
    """A time that is drawn as a column."""

    kind: str
    """Like that of the `Wait` that fills most of it; `idle`: nothing is waited for."""
    start: float
    end: float
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps times to places.

    Attributes:
        times: The times at which the line bends, from the first to the last that is shown.
        places: Their places, in percent.
        folds: The columns.
        now: The place of the present; None: the run is over.
    """

    times: tuple[float, ...]
    places: tuple[float, ...]
    folds: tuple[Fold, ...]
    now: float | None

    @property
    def start(self) -> float:
        """The first time that is shown."""
        return self.times[0]

    @property
    def end(self) -> float:
        """The last time that is shown."""
        return self.times[-1]

    @property
    def rate(self) -> float:
        """Percent that a second takes at the end; 0 where the end is folded."""
        if self.folds and self.folds[-1].end >= self.end:
            return 0.0
        (a, b), (x, y) = self.times[-2:], self.places[-2:]
        return (y - x) / (b - a)

    def x(self, at: float) -> float:
        """The place of a time; times that are not shown are at the nearer edge."""
        if at <= self.times[0]:
            return self.places[0]
        if at >= self.times[-1]:
            return self.places[-1]
        place = bisect_right(self.times, at) - 1
        before, after = self.times[place], self.times[place + 1]
        left, right = self.places[place], self.places[place + 1]
        return left + (right - left) * ((at - before) / (after - before))

    def bar(self, start: float, end: float) -> Bar | None:
        """Where a time is drawn; None if it is not shown."""
        if end < self.start or start > self.end:
            return None
        x = self.x(start)
        width = max(NARROWEST, self.x(end) - x)
        x = max(0.0, min(x, WHOLE - width))
        return Bar(x, min(width, WHOLE - x))


def scale(
    shown: Stretch,
    busy: Iterable[Stretch],
    waits: Sequence[Wait] = (),
    *,
    running: bool = False,
    folded: bool = True,
) -> Scale:
    """The scale of a run.

    Args:
        shown: The time to show.
        busy: When something worked; never folded.
        waits: What the run waited for otherwise.
        running: Whether the end of `shown` is the present.
        folded: Whether to fold; False: the clock as it was.
    """
    start, end = shown.start, max(shown.end, shown.start + _INSTANT)
    right = WHOLE - ROOM if running else WHOLE
    idle = gaps(Stretch(start, end), busy) if folded else []
    columns = sorted(_worth_folding(idle, end - start, right))
    width = _width(len(columns))
    linear = end - start - sum(each.seconds for each in columns)
    rate = (right - width * len(columns)) / linear
    times, places, folds = [start], [0.0], list[Fold]()
    for column in columns:
        if column.start > times[-1]:
            places.append(places[-1] + (column.start - times[-1]) * rate)
            times.append(column.start)
        x = places[-1]
        folds.append(Fold(_kind(column, waits), column.start, column.end, x, width))
        places.append(x + width)
        times.append(column.end)
    if end > times[-1]:
        times.append(end)
        places.append(right)
    places[-1] = right
    places = [min(right, each) for each in places]
    return Scale(tuple(times), tuple(places), tuple(folds), right if running else None)


def gaps(shown: Stretch, busy: Iterable[Stretch]) -> list[Stretch]:
    """The times within `shown` in which nothing works."""
    found: list[Stretch] = []
    at = shown.start
    for start, end in sorted(busy):
        if end <= at or start >= shown.end:
            continue
        if start > at:
            found.append(Stretch(at, start))
        at = max(at, end)
    if at < shown.end:
        found.append(Stretch(at, shown.end))
    return found


def _worth_folding(idle: Iterable[Stretch], seconds: float, percent: float) -> list[Stretch]:
    """Those that would take more room than a column, longest first."""
    found: list[Stretch] = []
    for each in sorted(idle, key=lambda each: -each.seconds):
        if each.seconds < SHORTEST_FOLD or len(found) == _MOST_FOLDS:
            break
        rest = seconds - each.seconds
        if rest < _INSTANT / 2:
            break  # there is nothing else to show
        room = percent - len(found) * _width(len(found))
        if each.seconds / seconds * room <= _WORTH * _width(len(found) + 1):
            break
        found.append(each)
        seconds = rest
    return found


def _width(columns: int) -> float:
    return min(_COLUMN, _ALL_COLUMNS / max(1, columns))


def _kind(column: Stretch, waits: Iterable[Wait]) -> str:
    """What the run waited for; people win over everything else that fills as much."""
    filled: dict[str, float] = {}
    for wait in waits:
        overlap = min(wait.end, column.end) - max(wait.start, column.start)
        if overlap > 0:
            filled[wait.kind] = max(filled.get(wait.kind, 0.0), overlap)
    half = column.seconds / 2
    if filled.get("people", 0.0) >= half:
        return "people"
    return max(filled, key=lambda kind: filled[kind], default="idle")


class Tick(NamedTuple):
    """A label of the axis."""

    x: float
    at: float
    """The time, in Unix seconds."""
    since: float
    """Seconds since the last label with a clock; 0: this one has it."""


_CLOCK_NEEDS: Final = 15.0
"""Percent that a time of day takes."""
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)


def ticks(of: Scale) -> list[Tick]:
    """The labels of the parts that are not folded: a time of day first, then seconds since."""
    found: list[Tick] = []
    columns = {(fold.start, fold.end) for fold in of.folds}
    free = 0.0
    for (start, left), (end, right) in pairwise(zip(of.times, of.places, strict=True)):
        if (start, end) in columns or right - max(left, free) < _CLOCK_NEEDS:
            continue
        found.append(Tick(left, start, 0.0))
        free = left + _CLOCK_NEEDS
        step = _step((end - start) / (right - left) * _CLOCK_NEEDS * 1.5)
        since = step
        while start + since < end:
            x = left + (right - left) * since / (end - start)
            if x + _CLOCK_NEEDS / 2 > right:
                break
            if x - _CLOCK_NEEDS / 2 >= free:
                found.append(Tick(x, start + since, since))
                free = x + _CLOCK_NEEDS / 2
            since += step
    return found


def _step(least: float) -> float:
    """A round number of seconds, at least so many."""
    for step in _STEPS:
        if step >= least:
            return float(step) if least > _STEPS[0] / 2 else _small(least)
    return -(-least // _STEPS[-1]) * _STEPS[-1]


def _small(least: float) -> float:
    """A round part of a second."""
    power = 1.0
    while power > least:
        power /= 10
    return next(power * by for by in (1, 2, 5, 10) if power * by >= least)
