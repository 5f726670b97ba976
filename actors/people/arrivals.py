"""Whether an answer stored before this one may still be unhandled, here or at another worker.

The server numbers a consumer's deliveries, and delivers each message for the first time in the
order of the stream. A worker whose numbers have had no gap since before a question was shown has
received every answer to it, so it knows which of them are unfinished. After a gap, an interruption
or a redelivery it does not know, and reads the stream: that costs a read, never a wrong verdict.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from ...bus.errors import BusError
from ...bus.mailbox import Delivery
from ...bus.requests import Requests
from ...runtime.host import Host
from .answer import SKEW

_MAX_UNFINISHED = 10_000
"""Unfinished answers that are remembered; with more, the count begins anew."""
_NEVER = float("inf")
_ALWAYS = float("-inf")


class Arrivals:
    """The answers to one role that this worker has received."""

    def __init__(self, role: str, host: Host, requests: Requests) -> None:
        self._host = host
        self._requests = requests
        self._consumer = f"{requests.names.stream('ANSWERS')}.answers-{role}"
        self._refreshed_at = -1
        """The interruption after which the server was asked how far it has delivered."""
        self._refreshing: asyncio.Task[None] | None = None
        self._interruptions = -1
        self._last = 0
        """The number of the latest delivery."""
        self._since = _NEVER
        """Every answer stored after this time, by the server's clock, was received here."""
        self._unfinished: dict[str, set[int]] = {}
        """Sequences of answers that are not acknowledged, by the token of their ticket."""
        self._count = 0
        """How many those are."""

    def refresh(self) -> None:
        """Ask the server how far it has delivered, before the first answer comes."""
        if self._refreshed_at != self._host.interruptions:
            self._refreshed_at = self._host.interruptions
            task = self._refresh(self._refreshed_at)
            self._refreshing = asyncio.get_running_loop().create_task(task)

    async def _refresh(self, interruptions: int) -> None:
        last = self._last
        with suppress(BusError):
            info = await self._requests.api(f"CONSUMER.INFO.{self._consumer}")
            delivered = last != self._last or self._interruptions == interruptions
            if delivered or interruptions != self._host.interruptions:
                return  # an answer has come since, or the server may have forgotten it
            self._interruptions = interruptions
            # If no delivery is unacknowledged, all that was delivered before is handled.
            unfinished = bool(info["num_ack_pending"])
            now = datetime.fromisoformat(info["ts"]).timestamp()
            self._since = now if unfinished else _ALWAYS
            self._last = int(info["delivered"]["consumer_seq"])
            self._forget_unfinished()

    def note(self, delivery: Delivery, token: str) -> None:
        """Count a delivery, as soon as it comes."""
        interruptions = self._host.interruptions
        gapless = delivery.consumer_seq == self._last + 1 and self._count < _MAX_UNFINISHED
        if not gapless or interruptions != self._interruptions:
            self._interruptions = interruptions
            self._since = _NEVER
            self._forget_unfinished()  # stored before any question that is judged without a read
        if self._since == _NEVER and delivery.num_delivered == 1:
            self._since = delivery.at  # a redelivery may be far older than what others got
        self._last = delivery.consumer_seq
        unfinished = self._unfinished.setdefault(token, set())
        self._count += delivery.seq not in unfinished
        unfinished.add(delivery.seq)

    def _forget_unfinished(self) -> None:
        self._unfinished.clear()
        self._count = 0

    def finished(self, delivery: Delivery, token: str) -> None:
        """Note that an answer has its receipt and is acknowledged."""
        unfinished = self._unfinished.get(token)
        if unfinished is not None and delivery.seq in unfinished:
            unfinished.discard(delivery.seq)
            self._count -= 1
            if not unfinished:
                del self._unfinished[token]

    def may_have_earlier(self, delivery: Delivery, token: str, shown: float) -> bool:
        """Whether an earlier answer to a question shown at `shown` may still be unhandled."""
        if self._host.interruptions != self._interruptions or self._host.may_repeat(delivery):
            return True
        if shown <= self._since + SKEW:
            return True
        return any(seq < delivery.seq for seq in self._unfinished.get(token, ()))
