"""Takes runs up again that ended badly, or are blocked: at the step that failed, and no earlier."""

from __future__ import annotations

from contextlib import suppress

from .bus.log import Log
from .commands import NotRetryable, Order
from .runtime.entry import Record, Reopened, Unblocked
from .runtime.errors import Fenced
from .runtime.run import LiveRun
from .runtime.state import BLOCKED, RETRYABLE, RunState

RETRIED = (BLOCKED, *sorted(RETRYABLE))
"""The statuses of runs that can be retried."""


async def retry(log: Log, live: LiveRun, order: Order) -> None:
    """Have a run taken up again, once for each command.

    Raises:
        NotRetryable: it goes on as it is, or its end stands.
    """
    state, by, why = live.state, order.by, order.command.why
    if state.status == BLOCKED:
        for cause, block in state.blocked:
            if block.command != order.id:
                record = Unblocked(cause=cause, by=by, why=why, command=order.id)
                await _append(live, record, order, to=state.frames[block.frame].actor)
    elif order.id not in state.commands:
        await _check(log, state)
        reopened = Reopened(by=by, why=why, command=order.id)
        await _append(live, reopened, order, to=state.root.actor)


async def _append(live: LiveRun, record: Record, order: Order, *, to: str) -> None:
    with suppress(Fenced):
        await live.append([record], to=to)
        return
    if order.id not in live.state.commands:  # else the same command did it, in other hands
        raise NotRetryable(
            f"run {live.id} was taken up again by somebody else: it is {live.state.status}"
        )


async def _check(log: Log, state: RunState) -> None:
    """Refuse what cannot be reopened. Raises NotRetryable."""
    if not state.ended:
        raise NotRetryable(f"run {state.id} is {state.status}: there is nothing to retry")
    if state.removed:
        raise NotRetryable(f"run {state.id} is being removed: start it anew")
    if state.status not in RETRYABLE:
        raise NotRetryable(f"run {state.id} is {state.status}, and that stands: start it anew")
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
