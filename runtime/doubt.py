"""Which mail may have been delivered before, although the server counts this as the first time.

A server that was killed, or a consumer whose leader changed, has forgotten what it delivered. Only
what is stored after that is new for certain: what stands behind the end that the stream had then.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ..bus.errors import BusError
from ..bus.mailbox import Delivery
from ..bus.requests import Requests


class Doubt:
    """Learns where streams ended when their server, or the worker, came back.

    By sequence, not by time: the clocks of workers and servers differ.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._ends: dict[str, int] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self.renewals = 0
        """How often everything had to be doubted anew."""

    def renew(self) -> None:
        """Doubt everything that is stored by now."""
        self.renewals += 1
        for task in self._asking.values():
            task.cancel()  # its answer may be from before
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
        """Whether the stream's end was told since the last interruption."""
        return stream in self._ends

    def _ask(self, stream: str) -> None:
        if stream not in self._asking:
            task = asyncio.get_running_loop().create_task(self._learn(stream))
            self._asking[stream] = task

    async def _learn(self, stream: str) -> None:
        """Ask for the end; when there is no answer, the next message asks again."""
        with suppress(BusError):
            info = await self._requests.api(f"STREAM.INFO.{stream}")
            self._ends[stream] = int(info["state"]["last_seq"])
        del self._asking[stream]
