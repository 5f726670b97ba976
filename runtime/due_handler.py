"""Handles wake-ups: the ends of sleeps, waits and back-offs, and the time limits of runs."""

from __future__ import annotations

from contextlib import suppress

from ..bus.mailbox import Delivery
from .duration import human
from .entry import Ended, Woken
from .errors import Fenced
from .host import Host
from .ports import Due
from .state import TIMED_OUT

LAGS = 6
"""Deliveries of a wake-up or deadline during which the copy of the log that is read may lag."""
_TOLERANCE = 0.001
"""Seconds by which two readings of one deadline may differ."""


class DueHandler:
    """Writes what is due into the logs of the runs."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def wake_up(self, due: Due, delivery: Delivery) -> None:
        """Handle the end of a sleep, a wait or a back-off."""
        live = await self._host.open(due.run)
        slot = live.state.slot(due.frame, due.key)
        if slot is None or not slot.wake_at:
            await live.catch_up()
            slot = live.state.slot(due.frame, due.key)
        frame = live.state.frames.get(due.frame)
        if frame is None and delivery.num_delivered < LAGS:
            await delivery.nak(1.0)  # the replica lags, or the log was purged
            return
        if slot is not None and frame is not None and 0 < slot.wake_at <= due.at + _TOLERANCE:
            with suppress(Fenced):
                await live.append([Woken(frame=due.frame, key=due.key)], to=frame.actor)
        await delivery.ack()

    async def time_limit(self, due: Due, delivery: Delivery) -> None:
        """End a run that has taken too long, not counting the time that people took."""
        live = await self._host.open(due.run)
        await live.catch_up()
        left = due.limit - live.state.busy_for(delivery.at)
        if live.state.frames and not live.state.ended:
            if left > _TOLERANCE and not due.early:
                await self._host.ports.arm_limit(due.run, delivery.at + max(left, 1.0), due.limit)
            else:
                error = f"it took longer than {human(due.limit)}, without the time people took"
                await self._host.end(live, Ended(status=TIMED_OUT, error=error))
        await delivery.ack()
