"""Times, durations, numbers and statuses as the pages show them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from markupsafe import Markup, escape

from ...runtime.untrusted_text import safe
from ..catalogue.query import shown_status

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SHORT = 10
"""Seconds, or dollars, below which small parts matter."""
_TWO_DIGITS = 9.95
"""From here on, tenths would be the third digit."""
_THOUSAND = 999.5
"""From here on, a rounded number has four digits."""


class Look(NamedTuple):
    """How a status looks."""

    word: str
    symbol: str
    css: str


_LOOKS: Final = {
    "waiting": Look("waiting", "waiting", "waiting"),
    "running": Look("running", "running", "running"),
    "retrying": Look("retrying", "retrying", "retrying"),
    "sleeping": Look("sleeping", "parked", "parked"),
    "blocked": Look("blocked", "m-warn", "failed"),
    "completed": Look("completed", "completed", "completed"),
    "failed": Look("failed", "failed", "failed"),
    "timed_out": Look("timed out", "timed_out", "timed_out"),
    "max_turns": Look("turn limit", "limit", "limit"),
    "budget_spent": Look("budget spent", "limit", "limit"),
    "cancelled": Look("cancelled", "cancelled", "cancelled"),
    "erased": Look("erased", "cancelled", "cancelled"),
}


def look(status: str) -> Look:
    """The word, symbol and style of a status."""
    return _LOOKS.get(status) or Look(status.replace("_", " "), "m-dot", "parked")


def duration(seconds: float) -> str:
    """A duration: `61 ms`, `2.3 s`, `1 h 24 min`, `4 d`."""
    if seconds * 1000 < _THOUSAND:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _SHORT:
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE):02d} min"
    return f"{int(seconds // _DAY)} d"


def moment(iso: str) -> datetime:
    """The time that a row has as text."""
    return datetime.fromisoformat(iso)


def seconds_between(start: str, end: str) -> float:
    """Seconds from one time to another, at least none."""
    return max(0.0, (moment(end) - moment(start)).total_seconds())


def _whole(seconds: float) -> str:
    return f"{max(0, int(seconds))} s" if seconds < _MINUTE else duration(seconds)


def since(iso: str) -> str:
    """How long ago that was, in whole seconds at least."""
    return _whole((datetime.now(UTC) - moment(iso)).total_seconds())


def until(iso: str) -> str:
    """How long from now that is."""
    return _whole((moment(iso) - datetime.now(UTC)).total_seconds())


def share(start: str, end: str) -> str:
    """How much of the time from start to end is over, in percent."""
    whole = max(1.0, (moment(end) - moment(start)).total_seconds())
    passed = (datetime.now(UTC) - moment(start)).total_seconds()
    return f"{min(100.0, max(0.0, passed / whole * 100)):.1f}"


def number(value: float) -> str:
    """A whole number with separators: `48,202`."""
    return f"{value:,.0f}"


def size(count: float) -> str:
    """Bytes: `21 KB`, `7.4 GB`."""
    if count < _THOUSAND:
        return f"{count:.0f} B"
    for unit in ("KB", "MB", "GB"):
        count /= 1000
        if count < _TWO_DIGITS:
            return f"{count:.1f} {unit}"
        if count < _THOUSAND:
            return f"{count:.0f} {unit}"
    return f"{count / 1000:.1f} TB"


def money(dollars: float) -> str:
    """US dollars; four digits for what a model costs."""
    return f"${dollars:,.4f}" if dollars < _SHORT else f"${dollars:,.2f}"


def clock(iso: str) -> str:
    """The time of day, or the day for what is older; the page's script shows local time."""
    then = moment(iso).astimezone()
    same_day = then.date() == datetime.now(UTC).astimezone().date()
    return then.strftime("%H:%M:%S" if same_day else "%d %b %H:%M")


def between(start: str, end: str) -> str:
    """How long it was from one time to another."""
    return duration(seconds_between(start, end))


def short(text: str, most: int) -> str:
    """The first line of a text, cut."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= most else f"{line[: most - 1]}…"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def with_code(text: str) -> Markup:
    """A text of ours in which what stands between backticks is code."""
    escaped = str(escape(safe(text)))
    return Markup(_CODE.sub(r"<code>\1</code>", escaped))  # noqa: S704  escaped above


_CODE: Final = re.compile(r"`([^`]+)`")
FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "between": between,
    "short": short,
    "clock": clock,
    "duration": duration,
    "look": look,
    "money": money,
    "number": number,
    "plural": plural,
    "share": share,
    "since": since,
    "shown_status": shown_status,
    "size": size,
    "until": until,
    "with_code": with_code,
}
