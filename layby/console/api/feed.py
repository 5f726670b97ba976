"""The feed: the rows of runs and questions as they change."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..catalogue.entries import Change
from ..console import Console, console_of
from ..login.session import Rights
from .change_log import ChangeLog
from .operation import Call, Nothing
from .stream import Sse, last_event_id, sse_response
from .values import FeedQuery, Gone, Reset


async def feed(call: Call[Nothing, FeedQuery, Nothing]) -> Response:
    """Follow the rows of runs and questions as they change.

    `run` and `question` carry the row as it is now, `run.gone` the id of a run that was removed.
    `reset` says that what you missed is not known: read the lists then, and apply what follows.
    """
    log = _log_of(call.request)
    await log.listen()
    after = last_event_id(call.request) or call.query.after
    changes = _changes(call.console, log, call.session.rights, after)
    return sse_response(call.request, changes)


def _log_of(request: Request) -> ChangeLog:
    state = request.app.state
    if not hasattr(state, "change_log"):
        console = console_of(request)
        state.change_log = ChangeLog(console.catalogue, console.stopping)
    log: ChangeLog = state.change_log
    return log


async def _changes(
    console: Console, log: ChangeLog, rights: Rights, after: str
) -> AsyncGenerator[Sse]:
    """What changes; it begins with a `reset` if what the reader has missed is not known."""
    place = log.place(after)
    while True:
        changes = None if place is None else log.since(place)
        if changes is None or place is None:
            place = log.now
            yield Sse("reset", Reset(), log.number(place))
        for change in changes or ():
            event = await _event(console, rights, change)
            if event is not None:
                yield event._replace(id=log.number(change.seq))
            place = change.seq
        await log.changed(place)


async def _event(console: Console, rights: Rights, change: Change) -> Sse | None:
    """A change with the row as it is now; None if the session may not see it."""
    if change.kind == "run":
        if not rights.view:
            return None
        row: Any = await console.catalogue.run(change.id)
        return Sse("run", row) if row is not None else Sse("run.gone", Gone(id=change.id))
    thread = await console.catalogue.question(change.id)
    if thread is None or not any(map(rights.sees, thread.question.roles)):
        return None
    return Sse("question", thread)
