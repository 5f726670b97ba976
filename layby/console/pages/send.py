"""The page Send: write an event, and see the run that it starts."""

from __future__ import annotations

from functools import partial
from typing import Final
from urllib.parse import quote, urlencode

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ...bus.errors import LaybyError
from ...bus.token import slug
from ..catalogue.query import RunQuery
from ..console import console_of
from ..live import Part
from ..login.session import session_of
from ..posted import posted
from . import rail
from .send_event import Written, fresh, read
from .send_notice import Notice, notice
from .send_starts import Start, awaited, starts
from .shell import fragment, page

_WITHIN: Final = 3.0
"""Seconds in which a running worker normally takes an event."""
_LAST: Final = 5
"""Runs of the workflow that are listed."""


async def show(request: Request) -> Response:
    """Show the page, with nothing written yet."""
    query = request.query_params
    found = await starts(console_of(request))
    start = _chosen(found, query.get("workflow", ""), other="other" in query)
    return await _shown(
        request, found, start, fresh(start, query.get("as", ""), query.get("value", ""))
    )


async def send(request: Request) -> Response:
    """Send what was written, or show it again."""
    given, session = posted(request), session_of(request)
    if not session.rights.operate:
        raise HTTPException(403, "Ask an operator to send it, or for the right to do so.")
    found = await starts(console_of(request))
    name = given.get("workflow", "")
    start = _named(found, name)
    if name and start is None:
        raise HTTPException(404, "That workflow is not known any more. Choose another one.")
    written = read(start, given)
    only_shown = any(name in given for name in ("show", "_add", "_remove", "_json"))
    if only_shown or written.body is None:
        status = 200 if only_shown else 422
        return await _shown(request, found, start, written, status=status)
    try:
        sent = await session.client.dispatch(
            written.subject, written.body, event_id=written.event_id or None, within=_WITHIN
        )
    except LaybyError as error:
        told = Notice("It was not sent.", str(error))
        return await _shown(request, found, start, written, told, status=422)
    if len(sent.runs) == 1:
        address = console_of(request).url(f"/runs/{quote(sent.runs[0].id)}")
        return RedirectResponse(address, 303)
    names = [each.workflow for each in found if each.subject == written.subject]
    return await _shown(request, found, start, written, notice(sent, names))


def _chosen(found: list[Start], name: str, *, other: bool) -> Start | None:
    if other:
        return None
    return _named(found, name) or (found[0] if found else None)


def _named(found: list[Start], name: str) -> Start | None:
    """The workflow of a name, which may be that of its mailbox."""
    return next((each for each in found if name in {each.workflow, slug(each.workflow)}), None)


async def _shown(
    request: Request,
    found: list[Start],
    start: Start | None,
    written: Written,
    told: Notice | None = None,
    *,
    status: int = 200,
) -> HTMLResponse:
    name = start.workflow if start else ""
    last = (await _last(request, name))["send-last"]
    return page(
        request,
        "send.html",
        title="Send",
        nav="send",
        live=f"/send/live?{urlencode({'workflow': name})}",
        status=status,
        starts=found,
        awaited=awaited(console_of(request)),
        start=start,
        written=written,
        notice=told,
        last=Markup(last.html()),  # noqa: S704  a template of ours
    )


async def live(request: Request) -> StreamingResponse:
    """Keep the list of runs up to date."""
    name = request.query_params.get("workflow", "")
    return rail.stream(request, "send", partial(_last, request, name), key=name)


async def _last(request: Request, workflow: str) -> dict[str, Part]:
    """The last runs of a workflow."""
    runs = []
    if workflow and session_of(request).rights.view:
        query = RunQuery(workflow=workflow, limit=_LAST)
        runs = (await console_of(request).catalogue.runs(query)).runs
    draw = partial(fragment, request, "send_last.html", runs=runs, workflow=workflow)
    return {"send-last": Part(state=runs, html=draw)}


routes = [
    Route("/send", show, name="send"),
    Route("/send", send, methods=["POST"]),
    Route("/send/live", live),
]
