"""What a worker's log tells of runs: one line where the run's own log has something new to say.

A line is written by the worker whose append has won, after it. A worker that dies in between has
left the line out: the run's log is the truth, and these lines are for people.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from .entry import (
    Answered,
    Asked,
    Blocked,
    Cancelled,
    Ended,
    Expired,
    Record,
    Reopened,
    Started,
    Unblocked,
)
from .failure import reason_of
from .run import LiveRun
from .state import CANCELLED, COMPLETED, RunState
from .telemetry import texts
from .times import iso

log = structlog.get_logger("layby.run")

_LONGEST = 500


def tell(live: LiveRun, records: list[Record]) -> None:
    """Tell what was appended to a run. What cannot be told stops nobody: it is in the log."""
    with suppress(Exception):
        for record in records:
            teller = _TELLERS.get(type(record))
            if teller is not None:
                teller(live, record)


def commanded(state: RunState, record: Record) -> None:
    """Tell what a person has done to a run; the worker that handles the mail does."""
    if isinstance(record, Cancelled):
        log.info(
            "run.cancelled",
            **_about(state),
            workflow=state.workflow,
            by=record.by,
            reason=record.reason,
        )
    elif isinstance(record, Reopened | Unblocked) and record.by:
        log.info("run.reopened", **_about(state), by=record.by, why=record.why)


def _started(live: LiveRun, record: Started) -> None:
    log.info("run.started", run=live.id, ticket=record.ticket, workflow=record.workflow)


def _ended(live: LiveRun, record: Ended) -> None:
    state, raised = live.state, live.raised
    live.raised = None  # it holds on to the frames that it came through
    seconds = round(state.updated_at - state.started_at, 3)
    if record.status == COMPLETED:
        log.info("run.completed", **_about(state), workflow=state.workflow, seconds=seconds)
    elif record.status == CANCELLED:
        log.info(
            "run.cancelled", **_about(state), workflow=state.workflow, by="", reason=record.error
        )
    else:
        failure = record.failure
        log.warning(
            "run.failed",
            **_about(state),
            workflow=state.workflow,
            status=record.status,
            error=(record.error if failure is None else reason_of(failure))[:_LONGEST],
            seconds=seconds,
            exc_info=raised,
        )


def _asked(live: LiveRun, record: Asked) -> None:
    log.info(
        "question.asked",
        **_about(live.state),
        question=record.id,
        role=record.role,
        deadline=iso(record.deadline),
        **texts(text=record.question),
    )


def _answered(live: LiveRun, record: Answered) -> None:
    log.info(
        "question.answered",
        **_about(live.state),
        question=record.id,
        by=record.by,
        **texts(text=record.text),
    )


def _expired(live: LiveRun, record: Expired) -> None:
    log.info("question.expired", **_about(live.state), question=record.id)


def _blocked(live: LiveRun, record: Blocked) -> None:
    log.warning(
        "run.blocked",
        **_about(live.state),
        workflow=live.state.workflow,
        error=record.reason[:_LONGEST],
        needs=record.needs,
    )


def _reopened(live: LiveRun, record: Reopened) -> None:
    if not record.by:  # else who handles the mail tells
        log.info("run.reopened", **_about(live.state), by=record.by, why=record.why)


def _about(state: RunState) -> dict[str, Any]:
    return {"run": state.id, "ticket": state.ticket}


_TELLERS: dict[type[Record], Callable[[LiveRun, Any], None]] = {
    Started: _started,
    Ended: _ended,
    Asked: _asked,
    Answered: _answered,
    Expired: _expired,
    Blocked: _blocked,
    Reopened: _reopened,
}
