"""Runs: list, show, follow, cancel, retry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime

from starlette.responses import Response

from ...client import NoSuchRun
from ...events import AnyEvent
from ...runtime.ids import is_run_id
from ...views.prompt import Prompt
from ...views.recording import History
from ...views.rows import RunDetail, RunRow
from ..catalogue.entries import RunPage
from ..catalogue.query import InvalidCursor, RunQuery
from .operation import Call, Nothing
from .problem import InvalidRequest
from .stream import Sse, last_event_id, sse_response
from .values import EventsQuery, PromptPath, Reason, RunPath, RunsQuery


async def list_runs(call: Call[Nothing, RunsQuery, Nothing]) -> RunPage:
    """List runs, newest first, a page at a time."""
    wanted = call.query
    query = RunQuery(
        status=frozenset(wanted.status),
        workflow=wanted.workflow or None,
        ticket=wanted.ticket or None,
        role=wanted.role or None,
        text=wanted.text or None,
        labels=tuple(_label(each) for each in wanted.label),
        time=wanted.time,
        since=_iso(wanted.since),
        until=_iso(wanted.until),
        cursor=wanted.cursor or None,
        limit=wanted.limit,
    )
    try:
        return await call.console.catalogue.runs(query)
    except InvalidCursor as error:
        raise InvalidRequest(str(error), "cursor") from None


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _label(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name, value


async def show_run(call: Call[RunPath, Nothing, Nothing]) -> RunDetail:
    """Show a run with its history, children and questions."""
    return await call.session.client.show(_run_id(call.path))


async def run_history(call: Call[RunPath, Nothing, Nothing]) -> History:
    """Download all that a run has recorded, with its data, for `layby.testing.replay`."""
    history = await call.session.client.record(_run_id(call.path))
    name = f"{history.workflow}-{history.run}.json"
    call.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return history


async def run_prompt(call: Call[PromptPath, Nothing, Nothing]) -> Prompt:
    """Show what a step of a run sent to its model."""
    return await call.session.client.prompt(_run_id(call.path), call.path.step)


async def cancel_run(call: Call[RunPath, Nothing, Reason]) -> RunRow:
    """Have a worker cancel a run."""
    act = call.session.client.cancel
    return await act(_run_id(call.path), call.body.reason, by=call.session.name)


async def retry_run(call: Call[RunPath, Nothing, Reason]) -> RunRow:
    """Have a worker retry a run that is blocked or ended badly, from the step that failed."""
    act = call.session.client.retry
    return await act(_run_id(call.path), by=call.session.name, reason=call.body.reason)


async def run_events(call: Call[RunPath, EventsQuery, Nothing]) -> Response:
    """Follow the events of a run, from its beginning or after the last that you have, to its end.

    Each has one of the schemas of events: `id` is its number, `event` its type. A reader that has
    all events of a run that has ended gets 204, at which browsers stay away.
    """
    after = last_event_id(call.request) or call.query.after
    caught_up = asyncio.Event()
    follow = call.session.client.events
    events = follow(_run_id(call.path), after=after or None, caught_up=caught_up)
    first = asyncio.create_task(_next(events))
    nothing_yet = asyncio.create_task(caught_up.wait())
    try:
        await asyncio.wait({first, nothing_yet}, return_when=asyncio.FIRST_COMPLETED)
        if first.done() and first.result() is None:
            return Response(status_code=204)
    except BaseException:
        first.cancel()
        await events.aclose()
        raise
    finally:
        nothing_yet.cancel()
    return sse_response(call.request, _numbered(first, events))


async def _numbered(
    first: asyncio.Future[AnyEvent | None], events: AsyncGenerator[AnyEvent]
) -> AsyncGenerator[Sse]:
    try:
        event = await first
        while event is not None:
            yield Sse(str(event.__struct_config__.tag), event, event.id)
            event = await _next(events)
    finally:
        first.cancel()
        await events.aclose()


async def _next(events: AsyncGenerator[AnyEvent]) -> AnyEvent | None:
    return await anext(events, None)


def _run_id(path: RunPath | PromptPath) -> str:
    """The id in a path: the beginning of one would have to be looked for among all runs."""
    if not is_run_id(path.id):
        raise NoSuchRun(f"{path.id!r} is not the id of a run")
    return path.id
