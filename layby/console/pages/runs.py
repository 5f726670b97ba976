"""The page of runs: filters, a chart, a table, and what is done to several at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ...views.rows import RunRow
from ..catalogue.entries import Progress, RunPage
from ..catalogue.query import InvalidCursor, shown_status
from ..console import console_of
from ..live import Part, Parts
from ..login.session import Rights, session_of
from . import runs_bulk
from .rail import stream
from .run_chart import chart
from .run_filter import RANGES, RunFilter
from .shell import fragment, page

_ALWAYS: Final = ("waiting", "running", "retrying", "sleeping", "blocked", "completed", "failed")
_SOMETIMES: Final = ("timed_out", "max_turns", "budget_spent", "cancelled", "erased")
_BARS: Final = 48


class Words(NamedTuple):
    """What the page says where there are no rows."""

    title: str
    text: str
    code: str = ""
    link: str = ""
    button: str = ""


async def show(request: Request) -> HTMLResponse:
    """Show the page."""
    console, wanted = console_of(request), RunFilter(request.query_params)
    parts = await _parts(request, wanted)
    return page(
        request,
        "runs.html",
        title="Runs",
        nav="runs",
        live=f"/live/runs{wanted.address()}",
        filter=wanted,
        ranges=RANGES,
        workflows=_with(await console.catalogue.workflows(), wanted.workflow),
        roles=_with(await console.catalogue.roles(), wanted.role),
        html={name: _html(part) for name, part in parts.items()} | {"rows": _html(parts["runs"])},
    )


def _html(part: Part | Mapping[str, Part]) -> Markup:
    if isinstance(part, Part):
        return Markup(part.html())  # noqa: S704  a template's
    return Markup("").join(Markup(each.html()) for each in part.values())  # noqa: S704


def _with(names: list[str], chosen: str) -> list[str]:
    return names if not chosen or chosen in names else [*names, chosen]


async def live(request: Request) -> Response:
    """Stream the page's parts as they change."""
    wanted = RunFilter(request.query_params)
    return stream(request, "runs", partial(_parts, request, wanted), key=wanted.address())


async def _parts(request: Request, wanted: RunFilter) -> Parts:
    """The parts of the page that change."""
    catalogue = console_of(request).catalogue
    query = wanted.query()
    try:
        found = await catalogue.runs(query)
    except InvalidCursor:
        wanted.cursor = None
        query = wanted.query()
        found = await catalogue.runs(query)
    overview = await catalogue.overview(query, _BARS)
    counts = overview.counts
    drawn = chart(_title(wanted), overview.bars, lambda start, end: _zoom(wanted, start, end))
    progress = catalogue.progress
    total = (
        sum(counts.get(name, 0) for name in wanted.status)
        if wanted.status
        else sum(counts.values())
    )
    words = _words(found, wanted, progress, session_of(request).rights)

    def draw(template: str, **values: Any) -> str:
        return fragment(request, template, filter=wanted, **values)

    statuses = [*_ALWAYS, *(s for s in _SOMETIMES if counts.get(s) or s in wanted.status)]
    return {
        "chips": Part(
            state=counts, html=lambda: draw("runs_chips.html", counts=counts, statuses=statuses)
        ),
        "chart": Part(state=drawn, html=lambda: draw("runs_chart.html", chart=drawn)),
        "runs": {f"r-{row.id}": _row(request, row) for row in found.runs},
        "state": Part(state=words, html=lambda: draw("runs_state.html", words=words)),
        "pager": Part(
            state=(total, found.next, found.previous, progress.live or progress),
            html=lambda: draw("runs_pager.html", total=total, page=found, progress=progress),
        ),
    }


def _row(request: Request, row: RunRow) -> Part:
    return Part(
        state=row, html=lambda: fragment(request, "run_row.html", row=row, shown=shown_status(row))
    )


def _zoom(wanted: RunFilter, start: str, end: str) -> str:
    return wanted.address(**{"from": start, "to": end, "cursor": None})


def _title(wanted: RunFilter) -> str:
    chosen = RANGES[wanted.range]
    return chosen.words if wanted.range else "Started"


def _words(found: RunPage, wanted: RunFilter, progress: Progress, rights: Rights) -> Words | None:
    """What to say when there are no runs to show."""
    if progress.problem:
        return Words("The list may be out of date", progress.problem)
    if found.runs:
        return None
    if not progress.live and progress.total:
        done = f"{progress.done:,} of {progress.total:,} messages read."
        return Words("Reading the runs", done)
    if not wanted.is_plain:
        return Words(
            "No run matches",
            "Take a filter away, or look at all runs.",
            link="/",
            button="All runs",
        )
    text = "A run starts when an event arrives. Send one from a terminal"
    code = 'layby send SUBJECT \'{"field": "value"}\''
    if not rights.operate:
        return Words("No runs yet", f"{text}:", code)
    return Words("No runs yet", f"{text}, or here:", code, "/send", "Send an event")


routes = [
    Route("/", show, name="runs"),
    Route("/live/runs", live),
    *runs_bulk.routes,
]
