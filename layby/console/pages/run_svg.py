"""The pictures of the waterfall: one for each row, one behind all of them, one for the axis.

Places are in percent, so that a picture is as wide as its column and a hatch is never distorted.
"""

from __future__ import annotations

from typing import Final

from markupsafe import Markup, escape

from ...runtime.times import iso
from ..waterfall.chart import Chart
from ..waterfall.geometry import Fold
from ..waterfall.node import Fill, Node, Part
from .words import clock, duration

_INK: Final[dict[Fill, str]] = {
    "work": 'class="f-work"',
    "queue": 'fill="url(#p-queue)"',
    "backoff": 'fill="url(#p-back)"',
    "failed": 'class="f-fail"',
    "undelivered": 'fill="url(#p-h1)"',
    "unseen": 'class="f-h2"',
    "seen": 'class="f-h3"',
    "claimed": 'class="f-h4"',
    "wait": 'class="f-rest"',
}
_FOLDED: Final = {
    "people": "parked",
    "backoff": "back-off",
    "sleep": "asleep",
    "event": "parked",
    "child": "child run",
    "queue": "queued",
    "idle": "idle",
}
_LEFT: Final = 7.6
"""Percent of the dashed bar for the time that is left."""
_LABEL: Final = 5.5
_TWO_LABELS: Final = 9.0


def row(of: Chart, node: Node) -> Markup:
    """The picture of a row."""
    drawn = _frame(of, node) if node.is_frame or not node.parts else _parts(of, node)
    return Markup(f'<svg aria-hidden="true">{drawn}</svg>')  # noqa: S704  numbers and own words


def _frame(of: Chart, node: Node) -> str:
    bar = of.scale.bar(node.start, node.end if node.end is not None else of.now)
    if bar is None:
        return ""
    live = _live(of, node.end)
    ink = "f-fail" if node.failed else "f-queue"
    return (
        f'<rect class="{ink}" opacity=".55" x="{bar.x:.2f}%" y="12" width="{bar.width:.2f}%"'
        f' height="4" rx="2"{live}/>'
    )


def _parts(of: Chart, node: Node) -> str:
    drawn = "".join(_part(of, part) for part in node.parts)
    is_open = node.parts and node.parts[-1].end is None
    if is_open and of.scale.now is not None and node.question and node.deadline > of.now:
        drawn += (
            f'<rect class="s-human" x="{of.scale.now:.2f}%" y="8.5" width="{_LEFT}%" height="11"'
            ' rx="1.5" stroke-dasharray="3 3"/>'
        )
    return drawn


def _part(of: Chart, part: Part) -> str:
    bar = of.scale.bar(part.start, part.end if part.end is not None else of.now)
    if bar is None:
        return ""
    return (
        f'<rect {_INK[part.fill]} x="{bar.x:.2f}%" y="8" width="{bar.width:.2f}%" height="12"'
        f' rx="1.5"{_live(of, part.end)}/>'
    )


def _live(of: Chart, end: float | None) -> str:
    """A mark for the script: this grows."""
    return " data-grows" if end is None and of.scale.now is not None else ""


def behind(of: Chart) -> Markup:
    """What is behind all rows: the columns of folded times, and the present."""
    drawn = "".join(
        f'<rect class="{_column(fold)}" x="{fold.x:.2f}%" width="{fold.width:.2f}%" height="100%"/>'
        for fold in of.scale.folds
    )
    if of.scale.now is not None:
        x = f"{of.scale.now:.2f}%"
        drawn += f'<line class="s-human" data-now x1="{x}" x2="{x}" y2="100%" stroke-width="1.5"/>'
    return Markup(f'<svg class="wfback" id="wf-back" aria-hidden="true">{drawn}</svg>')  # noqa: S704


def axis(of: Chart) -> Markup:
    """The axis with its labels."""
    drawn: list[str] = []
    for fold in of.scale.folds:
        drawn.append(
            f'<rect class="{_column(fold)}" x="{fold.x:.2f}%" width="{fold.width:.2f}%"'
            ' height="36"/>'
        )
        middle = f"{fold.x + fold.width / 2:.2f}%"
        ink = "on" if fold.kind == "people" else "mid"
        if fold.width >= _LABEL:
            drawn.append(
                f'<text class="{ink}" x="{middle}" y="14" text-anchor="middle">'
                f"{duration(fold.end - fold.start)}</text>"
            )
        if fold.width >= _TWO_LABELS:
            drawn.append(
                f'<text x="{middle}" y="28" text-anchor="middle">{_FOLDED[fold.kind]}</text>'
            )
    for tick in of.ticks:
        x = f"{max(0.6, tick.x):.2f}%"
        if tick.since:
            drawn.append(f'<text x="{x}" y="28" text-anchor="middle">+{_since(tick.since)}</text>')
        else:
            at = iso(tick.at)
            drawn.append(f'<text x="{x}" y="28" data-at="{at}">{escape(clock(at))}</text>')
    if of.scale.now is not None:
        now = of.scale.now
        drawn.append(
            f'<line class="s-human" data-now x1="{now:.2f}%" x2="{now:.2f}%" y1="20" y2="36"'
            f' stroke-width="1.5"/><text class="ink" x="{now + 1:.2f}%" y="28">now</text>'
        )
    return Markup(f'<svg role="img" aria-label="{_said(of)}">{"".join(drawn)}</svg>')  # noqa: S704


def _said(of: Chart) -> str:
    """What the axis says to those who do not see it."""
    folds = len(of.scale.folds)
    if not folds:
        return "Time axis"
    return f"Time axis; {folds} long {'wait is' if folds == 1 else 'waits are'} folded"


def _column(fold: Fold) -> str:
    return "f-fold" if fold.kind == "people" else "f-fold2"


def _since(seconds: float) -> str:
    """A round time: `11 s`, `30 min`."""
    return duration(seconds).replace(".0 s", " s")
