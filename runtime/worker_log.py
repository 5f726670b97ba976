"""The lines about runs in a worker's log: one for each important new entry of a run's log.

The worker whose append succeeded writes the line afterwards. If it dies in between, the line is
missing: the run's log is the truth, and these lines are for people.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from .act_records import ClaimedQuestion, Declined, Passed
from .ask_back_records import AskedBack, Replied
from .card_records import FAILED, HELD, SENT, Notified, Undelivered
from .entry import (
    Addressed,
    Answered,
    Asked,
    Blocked,
    Cancelled,
    Ended,
    Expired,
    Proposed,
    Record,
    Reopened,
    Started,
    Unblocked,
    Voted,
)
from .failure import reason_of
from .ladder_records import ASKED, ESCALATION, REMINDER, Reached, told
from .opened_records import Heard, OpenedQuestion
from .run import LiveRun
from .state import ANSWERED, CANCELLED, COMPLETED, NO_QUORUM, RunState
from .telemetry import texts
from .times import iso

log = structlog.get_logger("layby.run")

_LONGEST = 500


def log_appended(live: LiveRun, records: list[Record]) -> None:
    """Log what was appended to a run. An error here is ignored: the run's log has the record."""
    with suppress(Exception):
        for record in records:
            write = _WRITERS.get(type(record))
            if write is not None:
                write(live, record)


def log_command(state: RunState, record: Record) -> None:
    """Log what a person did to a run; called by the worker that handles the mail."""
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
    live.raised = None  # it keeps its frames alive
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


def _reached(live: LiveRun, record: Reached) -> None:
    rung = live.state.ladders[record.id].rungs[record.rung]
    if rung.kind == ASKED:
        log.info("question.on_duty", **_about_rung(live.state, record))
    elif rung.kind == REMINDER:
        log.info("question.reminded", **_about_rung(live.state, record))
    elif rung.kind == ESCALATION:
        log.info("question.escalated", **_about_rung(live.state, record))


def _claimed(live: LiveRun, record: ClaimedQuestion) -> None:
    log.info("question.claimed", **_about_act(live.state, record), until=iso(record.until))


def _passed(live: LiveRun, record: Passed) -> None:
    log.info("question.passed", **_about_act(live.state, record), to=record.to, told=told(record))


def _declined(live: LiveRun, record: Declined) -> None:
    log.info("question.declined", **_about_act(live.state, record))


def _asked_back(live: LiveRun, record: AskedBack) -> None:
    log.info("question.asked_back", **_about_act(live.state, record), **texts(text=record.text))


def _replied(live: LiveRun, record: Replied) -> None:
    if record.failed:
        error = record.text[:_LONGEST]
        log.warning("question.not_replied", **_about_act(live.state, record), error=error)
    else:
        log.info("question.replied", **_about_act(live.state, record), **texts(text=record.text))


def _opened(live: LiveRun, record: OpenedQuestion) -> None:
    log.info("question.opened", **_about_act(live.state, record), channel=record.channel)


def _about_act(state: RunState, record: Heard) -> dict[str, Any]:
    return {**_about(state), "question": record.id, "by": record.by}


def _notified(live: LiveRun, record: Notified) -> None:
    if record.status == SENT:
        log.info("card.sent", **_about_card(live.state, record))
    elif record.status == HELD:
        log.info("card.held", **_about_card(live.state, record), until=iso(record.until))
    elif record.status == FAILED:
        log.warning("card.failed", **_about_card(live.state, record), error=record.reason)


def _about_card(state: RunState, record: Notified) -> dict[str, Any]:
    about = {**_about(state), "question": record.id}
    return {**about, "role": record.role, "channel": record.channel}


def _undelivered(live: LiveRun, record: Undelivered) -> None:
    log.error("question.undelivered", **_about(live.state), question=record.id, role=record.role)


def _about_rung(state: RunState, record: Reached) -> dict[str, Any]:
    to = state.ladders[record.id].rungs[record.rung].to
    about = {**_about(state), "question": record.id}
    return {**about, "rung": record.rung, "to": to, "told": told(record)}


def _voted(live: LiveRun, record: Voted) -> None:
    log.info(
        "question.voted",
        **_about(live.state),
        question=record.id,
        by=record.by,
        role=record.role,
    )
    question = live.state.questions.get(record.id)
    if question is None or question.seq != record.seq:
        return
    if question.status == ANSWERED:
        log.info(
            "question.answered",
            **_about(live.state),
            question=record.id,
            by=question.by,
            **texts(text=question.text),
        )
    elif question.status == NO_QUORUM:
        log.info("question.no_quorum", **_about(live.state), question=record.id)


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
    if not record.by:  # otherwise the handler of the mail logs it
        log.info("run.reopened", **_about(live.state), by=record.by, why=record.why)


def _about(state: RunState) -> dict[str, Any]:
    return {"run": state.id, "ticket": state.ticket}


_WRITERS: dict[type[Record], Callable[[LiveRun, Any], None]] = {
    Started: _started,
    Ended: _ended,
    Asked: _asked,
    Proposed: _asked,
    Addressed: _asked,
    Answered: _answered,
    Voted: _voted,
    Expired: _expired,
    Reached: _reached,
    ClaimedQuestion: _claimed,
    Passed: _passed,
    Declined: _declined,
    AskedBack: _asked_back,
    Replied: _replied,
    OpenedQuestion: _opened,
    Notified: _notified,
    Undelivered: _undelivered,
    Blocked: _blocked,
    Reopened: _reopened,
}
