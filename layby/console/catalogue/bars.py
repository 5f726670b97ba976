"""The bars of the chart: how wide they are, and the counts of all runs in them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Final

_SECOND: Final = 1000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_WIDTHS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(_SECOND * each for each in (1, 2, 5, 10, 15, 30)),
    *(_MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * each for each in (1, 2, 3, 6, 12)),
    *(_DAY * each for each in (1, 2, 7, 14, 28)),
)
"""Milliseconds."""


def width_of(begin: int, end: int, bars: int) -> int:
    """The width of bars, in milliseconds, with which at most `bars` of them cover the time.

    Bars begin at multiples of it, so that time alone moves none.
    """
    for width in _WIDTHS:
        if covering(begin, end, width) <= bars:
            return width
    width = _WIDTHS[-1]
    while covering(begin, end, width) > bars:
        width *= 2
    return width


def covering(begin: int, end: int, width: int) -> int:
    """How many bars of that width cover the time from `begin` to before `end`."""
    return (end - 1) // width - begin // width + 1


class AllBars:
    """The bars of all runs by their start, kept up to date as rows change.

    Only those of the width that was asked for last: another one costs a scan.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._width = 0
        self._counts: Counter[tuple[int, str]] = Counter()

    def note(self, started: int, shown: str, count: int) -> None:
        """Note that `count` more runs with a shown status began at `started`."""
        if self._width:
            self._counts[started // self._width, shown] += count

    def forget(self) -> None:
        """Forget everything."""
        self._width = 0
        self._counts.clear()

    def counted(self, width: int) -> dict[tuple[int, str], int]:
        """Runs by the number of their bar, counted from 1970, and shown status."""
        if width != self._width:
            found = self._db.execute(
                "SELECT started / ?, shown, count(*) FROM runs GROUP BY 1, 2", [width]
            )
            self._counts = Counter({(bar, shown): count for bar, shown, count in found})
            self._width = width
        return {each: count for each, count in self._counts.items() if count}
