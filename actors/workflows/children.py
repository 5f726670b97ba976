"""Runs that other runs start and wait for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ...bus.errors import BusError, Erased
from ...runtime import crash, trace_context, tracing
from ...runtime.body import RAISED
from ...runtime.entry import Cancelled, Failure, Joined, Origin, Reopened, Started
from ...runtime.errors import Fenced, Interrupted, InvalidSetup
from ...runtime.host import Host
from ...runtime.ids import child_id
from ...runtime.run import LiveRun
from ...runtime.state import COMPLETED, RETRYABLE, RunState
from ...runtime.unseen_records import Claimed
from ...runtime.values import dump
from .workflow import Workflow

_TYPES = {
    "budget_spent": "BudgetSpent",
    "cancelled": "RunCancelled",
    "max_turns": "MaxTurns",
    "timed_out": "AskTimedOut",
}


def prepared(
    workflows: Mapping[str, Workflow], workflow: str, data: Any, origin: Origin
) -> tuple[str, Started, str]:
    """A child's run id, its first record, and its actor. Raises InvalidSetup."""
    target = workflows.get(workflow)
    if target is None:
        known = ", ".join(workflows)
        raise InvalidSetup(f"the app has no workflow {workflow!r}; it has: {known}")
    started = target.started(bytes(dump(data)), parent=origin)
    child = child_id(workflow, origin.run, origin.frame, origin.key)
    return child, started, target.address


class ChildRuns:
    """Starts child runs, and notifies their parents when they end."""

    def __init__(self, workflows: dict[str, Workflow], host: Host) -> None:
        self._workflows = workflows
        self._host = host

    def prepare(self, workflow: str, data: Any, origin: Origin) -> tuple[str, Started, str]:
        """The child's run id, its first record, and the actor it is addressed to."""
        return prepared(self._workflows, workflow, data, origin)

    async def ensure(self, run: str, started: Started, actor: str) -> None:
        """Start the run unless it was started before. Raises Interrupted.

        A child that was cancelled with its parent continues when the parent is reopened.
        """
        live = self._host.cache.fresh(run)
        try:
            with suppress(Fenced):
                person = self._workflows[started.workflow].person(started.event)
                await self._host.log.begin(
                    run, person, started.parent.run if started.parent else ""
                )
                trace = trace_context.carrier(tracing.headers())
                await live.append([started], to=actor, trace=trace)
                return
            if live.state.abandoned_by:
                await self._reopen(live)
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def _reopen(self, live: LiveRun) -> None:
        """Continue a child whose parent was reopened and waits for it again."""
        parent = await self._host.cache.newest(live.state.abandoned_by)
        if live.id in parent.state.abandoned():
            return  # this worker is slow: another one has gone on with the parent
        await self._reopened(live, parent.id, f"{parent.id}@{parent.state.reopened}")
        parent = await self._host.cache.newest(parent.id)
        if live.id in parent.state.abandoned():  # and saw no child to end
            await self.end(live.id, parent.id, parent.state.tail)

    @staticmethod
    async def _reopened(live: LiveRun, parent: str, origin: str) -> None:
        reopened = Reopened(by="", why=f"its parent, run {parent}, was reopened", origin=origin)
        crash.point("before_reopened")
        with suppress(Fenced):
            await live.append([reopened], to=live.state.root.actor)
        crash.point("after_reopened")

    async def end(self, run: str, parent: str, at: int, status: str = "") -> None:
        """End a run that its parent no longer waited for at its position `at`.

        A run that its parent has returned to since continues. Raises Interrupted.

        `status`: how the parent ended; empty: it goes on.
        """
        why = f"has ended: {status}" if status else "no longer waits for it"
        reason = f"its parent, run {parent}, {why}"
        try:
            live = await self._host.open(run)
            if not live.state.frames:
                await live.catch_up()
            if live.state.frames and not live.state.ended:
                await self._host.end(live, Cancelled(reason=reason, parent=parent, at=at))
        except Erased:
            return
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def again(self, run: str, parent: str, n: int) -> None:
        """Continue the run, or report how it ended, to a parent reopened at its position `n`.

        Raises Interrupted.
        """
        origin = f"{parent}@{n}"
        try:
            live = await self._host.cache.newest(run)
            state = live.state
            if state.frames and not state.ended:
                # A slow worker may still be about to end it for the parent as it was before.
                with suppress(Fenced):
                    await live.append([Claimed(at=n)])
            reopenable = state.status in RETRYABLE or bool(state.abandoned_by)
            if reopenable and origin not in state.origins:
                await self._reopened(live, parent, origin)
            elif state.ended:
                await self.tidy(live)
        except BusError as error:
            raise Interrupted(str(error)) from error

    async def tidy(self, live: LiveRun) -> None:
        """End the children of a run that has ended, and notify its parent."""
        state = live.state
        if not state.ended:
            return  # it was reopened since
        at, children = state.tail, state.abandoned()
        for child in children:
            await self.end(child, live.id, at, state.status)
        await self._notify_parent(live)

    async def _notify_parent(self, live: LiveRun) -> None:
        origin = live.state.parent
        if origin is None:
            return
        try:
            parent = await self._host.open(origin.run)
        except Erased:
            return
        if parent.state.slot(origin.frame, origin.key) is None:
            await parent.catch_up()
        frame = parent.state.frames.get(origin.frame)
        await live.confirm()  # it may have been reopened, and then its parent waits on
        if frame is not None and live.state.ended:
            with suppress(Fenced):
                await parent.append([_joined(live, origin)], to=frame.actor)


def _joined(live: LiveRun, origin: Origin) -> Joined:
    state = live.state
    if state.status == COMPLETED:
        return Joined(frame=origin.frame, key=origin.key, result=state.result)
    return Joined(frame=origin.frame, key=origin.key, error=_failure(state))


def _failure(state: RunState) -> Failure:
    """Why a child failed: for its parent always a failed step, whatever ended the child."""
    known = (
        Failure(type="StepFailed", message=state.error) if state.failure is None else state.failure
    )
    type_ = _TYPES.get(state.status) or ("StepFailed" if known.type in RAISED else known.type)
    return msgspec.structs.replace(known, type=type_, attempts=1)
