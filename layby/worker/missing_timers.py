"""Arms the timers of a run that may be missing, as after a takeover: its log says which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from ..actors.people.human import Human
from ..app import App
from ..bus.log import LogMessage
from ..bus.mailbox import Delivery
from ..runtime import clock
from ..runtime.due_handler import LAGS
from ..runtime.entry import ROOT, Record, Reopened, Started
from ..runtime.host import Host
from ..runtime.mail import Mail
from ..runtime.ports import Due
from ..runtime.run import LiveRun
from ..runtime.state import RunState
from ..runtime.wake_ups import arm_wake_ups

log = structlog.get_logger("layby.timers")

_FOR_OTHERS: Final = 86_400.0
"""Seconds for which a run is left to workers that declare its workflow."""
_SOON: Final = 0.2
_LATE: Final = 30.0
"""Seconds until a message is delivered again, first and at most."""
_STEPS: Final = 4
"""Deliveries, two minutes, in which a step may end that another worker runs now."""


class MissingTimers:
    """Arms what a run waits for."""

    def __init__(self, app: App, host: Host, human: Callable[[str], Human]) -> None:
        self._app = app
        self._host = host
        self._human = human

    async def arm(self, due: Due, delivery: Delivery) -> None:
        """Arm the timers of a run, and enter its workflow as the redelivery of its event does.

        The event may be gone, or too old to be redelivered; other mail of the run is in its log.
        """
        live = await self._host.open(due.run)
        await live.catch_up()
        state = live.state
        if not state.frames and delivery.num_delivered < LAGS:
            await delivery.nak(1.0)  # a follower that lags behind its leader
            return
        if not state.frames or state.ended:
            await delivery.ack()
            return
        if state.workflow not in self._app.workflows:
            await self._leave(state, due, delivery)
            return
        await arm_wake_ups(state, self._host.ports)
        for question in state.open_questions():
            await self._human(question.role).arm(state, question)
        if self._may_be_busy(state) and delivery.num_delivered < _STEPS:
            await delivery.nak(_LATE)
            return
        await self._enter(live, delivery)

    def _may_be_busy(self, state: RunState) -> bool:
        """Whether a worker may be in the middle of the workflow's function."""
        slots = state.frames[ROOT].slots.values()
        waits = any(not slot.settled and (slot.wake_at or slot.ref) for slot in slots)
        return not waits or self._host.works_on(state.id)

    async def _enter(self, live: LiveRun, delivery: Delivery) -> None:
        """Handle the mail that the root frame belongs to once more."""
        state = live.state
        n, record = state.reopened or 1, _opening(state)
        message = LogMessage(n, state.root.actor, b"")
        mail = Mail(state.id, message, record, delivery, again=True)
        await self._host.handle(self._app.workflows[state.workflow], live, mail)

    async def _leave(self, state: RunState, due: Due, delivery: Delivery) -> None:
        """Leave a run to the workers of another app."""
        if clock.now() - due.at < _FOR_OTHERS:
            await delivery.nak(min(_LATE, _SOON * 2 ** min(delivery.num_delivered, 10)))
            return
        log.warning("timers.left", run=state.id, workflow=state.workflow, why="no worker has it")
        await delivery.ack()


def _opening(state: RunState) -> Record:
    if state.reopened:
        return Reopened(by="", why="", command="")
    return Started(
        workflow=state.workflow,
        actor=state.root.actor,
        version=state.version,
        ticket=state.ticket,
        event=state.event,
        parent=state.parent,
        seq=state.seq,
        on=state.on,
    )
