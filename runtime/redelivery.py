"""Which messages may be redeliveries, although the server counts this delivery as the first.

A server that was killed, or a consumer whose leader changed, may forget what it delivered. Only
messages that are stored after that are certainly new: those beyond the stream's last sequence at
that time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ..bus.errors import BusError
from ..bus.mailbox import Delivery
from ..bus.requests import Requests


class RedeliveryHorizon:
    """Learns the last sequence of each stream at the last interruption.

    It compares sequences, not times: the clocks of workers and servers differ.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._ends: dict[str, int] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self.renewals = 0
        """How many interruptions there were."""

    def renew(self) -> None:
        """After an interruption: treat everything stored so far as possibly redelivered."""
        self.renewals += 1
        for task in self._asking.values():
            task.cancel()  # its answer may predate the interruption
        self._asking.clear()
        self._ends.clear()

    def covers(self, delivery: Delivery) -> bool:
        """Whether the message may have been delivered before."""
        end = self._ends.get(delivery.stream)
        if end is None:
            self._ask(delivery.stream)
            return True
        return delivery.seq <= end

    def knows(self, stream: str) -> bool:
        """Whether the stream's last sequence was read since the last interruption."""
        return stream in self._ends

    def _ask(self, stream: str) -> None:
        if stream not in self._asking:
            task = asyncio.get_running_loop().create_task(self._learn(stream))
            self._asking[stream] = task

    async def _learn(self, stream: str) -> None:
        """Read the last sequence; if that fails, the next message tries again."""
        with suppress(BusError):
            info = await self._requests.api(f"STREAM.INFO.{stream}")
            self._ends[stream] = int(info["state"]["last_seq"])
        del self._asking[stream]
