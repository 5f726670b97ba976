"""How a run ended, or what it waits for."""

from __future__ import annotations

from typing import Any, cast

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from ...views.rows import FailureRow, RunDetail
from . import times
from .tables import STATUS_STYLE
from .untrusted_text import safe

_MOVING = {"running": "it is running", "waiting": "it is parked and waits; no worker holds it"}


def outcome_panel(detail: RunDetail) -> RenderableType:
    """A panel with the result or the error of a run; one line if it has neither yet."""
    if detail.status == "blocked":
        return _blocked(detail)
    if detail.status in _MOVING:
        return Text(_MOVING[detail.status], style=STATUS_STYLE[detail.status])
    parts: list[RenderableType] = []
    if detail.error:
        parts.append(_error(detail.error, detail.failure))
    if detail.result is not None:
        parts.append(_result(detail.result))
    took = (times.parse(detail.updated_at) - times.parse(detail.started_at)).total_seconds()
    style = STATUS_STYLE.get(detail.status, "")
    return Panel(
        Group(*parts) if parts else Text("no result", style="dim"),
        title=Text(f"{detail.status} after {times.span(took)}", style=style),
        title_align="left",
        border_style=style,
        box=box.ROUNDED,
        padding=(0, 1),
    )


def _blocked(detail: RunDetail) -> RenderableType:
    """Why a run is blocked, and what to do about it."""
    style = STATUS_STYLE["blocked"]
    return Panel(
        Group(Text(safe(detail.error or "")), Text(safe(detail.needs), style="yellow")),
        title=Text("blocked: it continues once this is fixed", style=style),
        title_align="left",
        border_style=style,
        box=box.ROUNDED,
        padding=(0, 1),
    )


def _error(error: str, failure: FailureRow | None) -> Text:
    """The error's type and message, and below them where it was raised and what led to it."""
    if failure is None:
        return Text(safe(error), style="red")
    shown = failure.type if error == failure.type else f"{failure.type}: {error}"
    text = Text(safe(shown), style="red")
    if failure.place is not None:
        place = failure.place
        text.append(safe(f"\nin {place.function} ({place.file}:{place.line})"), style="dim")
    if failure.causes:
        text.append(safe(f"\ncaused by {', then '.join(failure.causes)}"), style="dim")
    return text


def _result(result: Any) -> RenderableType:
    """A mapping as one aligned line per field; everything else as JSON."""
    from rich.table import Table

    if not isinstance(result, dict) or not result:
        return Text(_text(result))
    fields = cast("dict[str, Any]", result)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(safe(name), Text(_text(value)))
    return table


def _text(value: Any) -> str:
    import json

    if isinstance(value, str):
        return safe(value)
    return safe(json.dumps(value, ensure_ascii=False, indent=2, default=str))
