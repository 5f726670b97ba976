"""How things are, and what to do about it: figures, dead letters, the doctor; sending events."""

from __future__ import annotations

from starlette.responses import Response

from ...bus.dead import STREAM as DEAD
from ...bus.errors import StreamMissing
from ...bus.requests import Requests
from ...views.rows import Dispatched, QuestionRow, Sent
from ...views.workers import WORKER
from ..metrics import MEDIA
from ..vitals import examined
from .operation import Call, Nothing
from .problem import NotReady
from .values import (
    AppList,
    DeadList,
    Doctor,
    Dropped,
    Health,
    LetterPath,
    LimitQuery,
    Reason,
    RoleStats,
    SentEvent,
    Stats,
    WorkerList,
)


async def healthz(_: Call[Nothing, Nothing, Nothing]) -> Health:
    """Check that the console answers."""
    return Health()


async def readyz(call: Call[Nothing, Nothing, Nothing]) -> Health:
    """Check that the console can do its work: it is connected to NATS and has read the lists.

    Raises:
        NotReady: It cannot now.
    """
    if not call.console.connection.nc.is_connected:
        raise NotReady("it is not connected to NATS")
    if not call.console.catalogue.progress.live:
        raise NotReady("it has not read all lists yet")
    return Health()


async def metrics(call: Call[Nothing, Nothing, Nothing]) -> Response:
    """Show runs, questions, mailboxes and streams to Prometheus."""
    return Response(await call.console.metrics.text(), media_type=f"{MEDIA}; version=0.0.4")


async def stats(call: Call[Nothing, Nothing, Nothing]) -> Stats:
    """Count runs, open questions and dead letters."""
    catalogue = call.console.catalogue
    return Stats(
        runs=await catalogue.counts(),
        questions=_by_role(await catalogue.questions()),
        dead=await _dead(call.console.requests),
        workers=sum(row.kind == WORKER and not row.lost for row in call.console.workers.rows()),
        catalogue=catalogue.progress,
    )


def _by_role(questions: list[QuestionRow]) -> list[RoleStats]:
    asked: dict[str, list[str]] = {}
    for question in questions:
        asked.setdefault(question.role, []).append(question.asked_at)
    return [
        RoleStats(role=role, open=len(times), oldest=min(times))
        for role, times in sorted(asked.items())
    ]


async def _dead(requests: Requests) -> int:
    try:
        info = await requests.api(f"STREAM.INFO.{requests.names.stream(DEAD)}")
    except StreamMissing:
        return 0  # nothing is provisioned yet
    return int(info["state"]["messages"])


async def list_apps(call: Call[Nothing, Nothing, Nothing]) -> AppList:
    """List what the apps declare: their workflows, triggers and the types of their events."""
    return AppList(apps=await call.session.client.apps())


async def list_workers(call: Call[Nothing, Nothing, Nothing]) -> WorkerList:
    """List the workers that run, and those that were lost in the last ten minutes."""
    return WorkerList(workers=call.console.workers.rows())


async def list_dead(call: Call[Nothing, LimitQuery, Nothing]) -> DeadList:
    """List the messages that no worker could handle, the newest first."""
    rows = await call.session.client.dead(call.query.limit)
    return DeadList(dead=rows, total=await _dead(call.console.requests))


async def retry_dead(call: Call[LetterPath, Nothing, Reason]) -> Sent:
    """Have a dead letter handled again where it failed, and removed."""
    act, session = call.session.client.retry_dead, call.session
    return await act(call.path.seq, by=session.name, reason=call.body.reason)


async def drop_dead(call: Call[LetterPath, Nothing, Reason]) -> Dropped:
    """Have a dead letter removed."""
    act, session = call.session.client.drop_dead, call.session
    await act(call.path.seq, by=session.name, reason=call.body.reason)
    return Dropped(dropped=call.path.seq)


async def doctor(call: Call[Nothing, Nothing, Nothing]) -> Doctor:
    """Find what is wrong or stuck, and how to fix it."""
    return Doctor(findings=await examined(call.session.client, call.console.workers))


async def send_event(call: Call[Nothing, Nothing, SentEvent]) -> Dispatched:
    """Publish an event, and see which runs it starts."""
    event = call.body
    return await call.session.client.dispatch(event.subject, event.data, event_id=event.id or None)
