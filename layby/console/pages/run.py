"""The page of a run: its head, its waterfall, the detail of a row, and its questions."""

from __future__ import annotations

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ...bus.errors import LaybyError
from ...client import Client, NoSuchRun
from ...runtime.entry import Record
from ...runtime.ids import is_run_id
from ...views.rows import RunDetail
from ..console import console_of
from ..login.session import session_of
from ..posted import posted
from ..waterfall.look import Look
from ..waterfall.watched import WatchedRun
from .run_live import live
from .run_view import view
from .run_words import FILTERS
from .shell import fragment, page, templates

templates.filters.update(FILTERS)

_LONGEST_REASON = 2_000
_DONE = {
    "cancel": "The run is cancelled.",
    "retry": "The run is tried again.",
}


async def show(request: Request) -> Response:
    """Show the page."""
    name = request.path_params["run"]
    client = session_of(request).client
    try:
        if not is_run_id(name):
            found = await client.logs.id_of(name)
            return RedirectResponse(console_of(request).url(f"/runs/{found}"), 303)
        run = await console_of(request).watched.get(client, name)
    except NoSuchRun as error:
        return page(
            request, "run_none.html", title="No such run", nav="runs", status=404, why=error
        )
    done = _DONE.get(request.query_params.get("done", ""), "")
    return await _page(request, client, run, done=done)


async def _page(
    request: Request,
    client: Client,
    run: WatchedRun,
    *,
    done: str = "",
    wrong: str = "",
    status: int = 200,
) -> HTMLResponse:
    look, workers = Look.of(request.query_params), console_of(request).workers
    found = await view(client, run, look, workers)
    if found is None:
        return await _closed(request, client, run, wrong)
    return page(
        request,
        "run.html",
        title=f"{found.state.ticket} {found.status_words}",
        nav="runs",
        live=None,
        status=status,
        v=found,
        done=done,
        wrong=wrong,
    )


async def _closed(request: Request, client: Client, run: WatchedRun, wrong: str) -> HTMLResponse:
    """The page of a run that is encrypted or erased: its outline."""
    detail: RunDetail = await client.show(run.id)
    return page(
        request,
        "run_closed.html",
        title=detail.ticket,
        nav="runs",
        run=detail,
        why=run.closed,
        wrong=wrong,
    )


async def rows(request: Request) -> Response:
    """One block of rows, which the script asks for when it comes into view."""
    client = session_of(request).client
    try:
        run = await console_of(request).watched.get(client, request.path_params["run"])
    except NoSuchRun as error:
        return HTMLResponse(str(error), 404)
    look, workers = Look.of(request.query_params), console_of(request).workers
    found = await view(client, run, look, workers)
    if found is None:
        return HTMLResponse("", 404)
    block = found.first_block
    return HTMLResponse(fragment(request, "run_region.html", v=found, region="block", at=block))


async def entry(request: Request) -> Response:
    """One record of the log, whole, as a file."""
    client = session_of(request).client
    name, n, place = (request.path_params[each] for each in ("run", "n", "place"))
    try:
        run = await console_of(request).watched.get(client, name)
        record = _record(run, n, place)
    except NoSuchRun:
        record = None
    if record is None:
        return Response("there is no such entry\n", 404, media_type="text/plain")
    for name in ("result", "input"):
        if (raw := getattr(record, name, None)) is not None:
            record = msgspec.structs.replace(record, **{name: await client.logs.inflated(raw)})
    body = msgspec.json.format(msgspec.json.encode(record), indent=2)
    file = f"{name}-{n}.{place}.json.txt"
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    return Response(body, media_type="text/plain", headers=headers)


def _record(run: WatchedRun, n: int, place: int) -> Record | None:
    envelope = run.envelope(n)
    if envelope is None or place >= len(envelope.records):
        return None
    return envelope.records[place]


async def cancel(request: Request) -> Response:
    """Cancel the run, after a person has confirmed it."""
    return await _command(request, "cancel")


async def retry(request: Request) -> Response:
    """Retry the run, after a person has confirmed it."""
    return await _command(request, "retry")


async def _command(request: Request, verb: str) -> Response:
    session = session_of(request)
    name: str = request.path_params["run"]
    if not session.rights.operate:
        raise HTTPException(403, "You may look at runs here, and not change them.")
    reason = posted(request).get("reason", "")[:_LONGEST_REASON]
    try:
        if verb == "cancel":
            await session.client.cancel(name, reason, by=session.name)
        else:
            await session.client.retry(name, by=session.name, reason=reason)
    except NoSuchRun as error:
        raise HTTPException(404, f"{error}.") from None
    except LaybyError as error:
        run = await console_of(request).watched.get(session.client, name)
        return await _page(request, session.client, run, wrong=str(error), status=409)
    return RedirectResponse(console_of(request).url(f"/runs/{name}?done={verb}"), 303)


routes = [
    Route("/runs/{run}", show, name="run"),
    Route("/runs/{run}/rows", rows),
    Route("/runs/{run}/live", live),
    Route("/runs/{run}/entries/{n:int}.{place:int}", entry),
    Route("/runs/{run}/cancel", cancel, methods=["POST"]),
    Route("/runs/{run}/retry", retry, methods=["POST"]),
]
