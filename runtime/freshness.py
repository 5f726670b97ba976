"""How old a handler's knowledge of its log may be before it must look again.

A process that gets no CPU time looks as dead as one that is cut off: another worker receives its
mail, and both are at the same step. What is in memory then misses what the other has recorded.
"""

from __future__ import annotations

import asyncio

from ..bus.errors import BusError, NoLeader, NotConnected, PublishUnconfirmed, StreamMissing
from ..bus.leader_wait import LeaderWait
from ..bus.mailbox import Delivery
from .errors import Interrupted
from .run import LiveRun

_RIVALRY = 0.1
"""The least seconds for which a look counts if another worker may be handling the same mail."""
_LOOKS = 10
"""Looks that may come too late before one counts anyway: or a starved process would never go on."""


class Looks:
    """How long it takes here to look at a log, at best: the server may be far away."""

    def __init__(self) -> None:
        self._best = float("inf")

    def note(self, seconds: float) -> None:
        """Note how long a look took."""
        self._best = min(self._best, seconds)

    @property
    def count_for(self) -> float:
        """Seconds for which a look counts if another worker may be handling the same mail."""
        return _RIVALRY if self._best == float("inf") else max(_RIVALRY, 2 * self._best)


class Freshness:
    """For how long a handler may act on what it knows."""

    def __init__(self, delivery: Delivery, looks: Looks, *, again: bool) -> None:
        """What is known when a mail is taken, before the log is read.

        For the length of an ack-wait, nobody else can have a mail that is delivered for the first
        time.
        """
        self.again = again
        """Whether the mail may have been delivered before."""
        self._looks = looks
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time() if again else delivery.since
        self._alone_for = delivery.ack_wait / 2

    @property
    def is_over(self) -> bool:
        """Whether the log must be looked at before anything takes effect."""
        lasts = self._looks.count_for if self.again else self._alone_for
        return self._loop.time() - self._since > lasts

    def renew(self, since: float) -> None:
        """Note that the log is known as of loop time `since`: a read or append began then."""
        self._since = max(self._since, since)

    async def ensure(self, live: LiveRun) -> None:
        """Read what others have recorded, unless it is certain enough that they have not.

        Raises:
            Gone: the log was removed.
            Interrupted: nobody answers for half a minute.
        """
        for _ in range(_LOOKS):
            if not self.is_over:
                return
            self.renew(await self._look(live))

    async def _look(self, live: LiveRun) -> float:
        """Catch up with the log; the loop time at which the look that succeeded began."""
        wait = LeaderWait()
        while True:
            began = self._loop.time()
            try:
                await live.confirm()
            except (StreamMissing, NoLeader, PublishUnconfirmed, NotConnected) as error:
                try:
                    await wait.pause(error)
                except BusError:
                    raise Interrupted(str(error)) from error
            except BusError as error:
                raise Interrupted(str(error)) from error
            else:
                self._looks.note(self._loop.time() - began)
                return began
