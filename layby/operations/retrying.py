"""Retries runs that ended badly or are blocked: from the step that failed, no earlier."""

from __future__ import annotations

from contextlib import suppress

from ..bus.log import Log
from ..commands import NotRetryable, StoredCommand
from ..runtime.entry import Record, Reopened, Unblocked
from ..runtime.errors import Fenced
from ..runtime.run import LiveRun
from ..runtime.state import BLOCKED, RETRYABLE, RunState

RETRIED = (BLOCKED, *sorted(RETRYABLE))
"""The statuses of runs that can be retried."""


async def retry(log: Log, live: LiveRun, stored: StoredCommand) -> None:
    """Retry a run, once for each command.

    Raises:
        NotRetryable: it is still running, or its end is final.
    """
    state, by, why = live.state, stored.by, stored.command.why
    if state.status == BLOCKED:
        for cause, block in state.blocked:
            if block.command != stored.id:
                record = Unblocked(cause=cause, by=by, why=why, command=stored.id)
                await _append(live, record, stored, to=state.frames[block.frame].actor)
    elif stored.id not in state.commands:
        await _check(log, state)
        reopened = Reopened(by=by, why=why, command=stored.id)
        await _append(live, reopened, stored, to=state.root.actor)


async def _append(live: LiveRun, record: Record, stored: StoredCommand, *, to: str) -> None:
    with suppress(Fenced):
        await live.append([record], to=to)
        return
    if stored.id not in live.state.commands:  # else another worker handled the same command
        raise NotRetryable(
            f"run {live.id} was retried by somebody else meanwhile: it is {live.state.status}"
        )


async def _check(log: Log, state: RunState) -> None:
    """Check that a run can be reopened. Raises NotRetryable."""
    if not state.ended:
        raise NotRetryable(f"run {state.id} is {state.status}: there is nothing to retry")
    if state.removed:
        raise NotRetryable(f"run {state.id} is being removed: start a new run")
    if state.status not in RETRYABLE:
        raise NotRetryable(f"run {state.id} is {state.status}, and that is final: start a new run")
    if state.parent is None:
        return
    parent = LiveRun(log, RunState(id=state.parent.run))
    await parent.catch_up()
    slot = parent.state.slot(state.parent.frame, state.parent.key)
    if parent.state.ended or slot is None or slot.settled:
        raise NotRetryable(
            f"run {state.id} was started by run {parent.id}, which has gone on without it and is "
            f"{parent.state.status}: retry that one, if it has failed"
        )
