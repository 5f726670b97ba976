"""Whether an answer stored before this one may still be unhandled, in whoever's hands.

The server numbers a consumer's deliveries, and makes those of the first time in the order of the
stream. A worker whose numbers have had no gap since before a question was shown has received every
answer to it, so it knows which of them it has not finished. Any gap, interruption or redelivery is
doubt, and doubt costs a read of the stream, never a wrong answer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from ..bus.errors import BusError
from ..bus.mailbox import Delivery
from ..bus.requests import Requests
from ..runtime.host import Host
from .answer import SKEW

_HELD = 10_000
"""Unfinished answers that are remembered; when there are more, the count begins anew."""
_NEVER = float("inf")
_EVER = float("-inf")


class Arrivals:
    """The answers to one role that this worker has received."""

    def __init__(self, role: str, host: Host, requests: Requests) -> None:
        self._host = host
        self._requests = requests
        self._consumer = f"{requests.names.stream('ANSWERS')}.answers-{role}"
        self._looked = -1
        """The interruption after which the server was asked how far it has delivered."""
        self._looking: asyncio.Task[None] | None = None
        self._interruptions = -1
        self._last = 0
        """The number of the delivery that came last."""
        self._since = _NEVER
        """From when on every answer that was stored has come here, by the server's clock."""
        self._unfinished: dict[str, set[int]] = {}
        """Sequences of answers that are not acknowledged, by the token of their ticket."""
        self._held = 0

    def look(self) -> None:
        """Learn from when on nothing will be missed, before the first answer comes."""
        if self._looked != self._host.interruptions:
            self._looked = self._host.interruptions
            self._looking = asyncio.get_running_loop().create_task(self._look(self._looked))

    async def _look(self, interruptions: int) -> None:
        last = self._last
        with suppress(BusError):
            info = await self._requests.api(f"CONSUMER.INFO.{self._consumer}")
            told = last != self._last or self._interruptions == interruptions
            if told or interruptions != self._host.interruptions:
                return  # an answer has come meanwhile, or the server may have forgotten it
            self._interruptions = interruptions
            # Where nothing is in anybody's hands, all that was delivered before is handled.
            in_hands = bool(info["num_ack_pending"])
            self._since = datetime.fromisoformat(info["ts"]).timestamp() if in_hands else _EVER
            self._last = int(info["delivered"]["consumer_seq"])
            self._unfinished.clear()
            self._held = 0

    def note(self, delivery: Delivery, token: str) -> None:
        """Take note of a delivery, at once when it comes."""
        interruptions = self._host.interruptions
        whole = delivery.consumer_seq == self._last + 1 and self._held < _HELD
        if not whole or interruptions != self._interruptions:
            self._interruptions = interruptions
            self._since = _NEVER
            self._unfinished.clear()  # stored before any question that is free of doubt was shown
            self._held = 0
        if self._since == _NEVER and delivery.num_delivered == 1:
            self._since = delivery.at  # what comes again may be far older than what others got
        self._last = delivery.consumer_seq
        held = self._unfinished.setdefault(token, set())
        self._held += delivery.seq not in held
        held.add(delivery.seq)

    def finished(self, delivery: Delivery, token: str) -> None:
        """Take note that an answer has its receipt and is acknowledged."""
        held = self._unfinished.get(token)
        if held is not None and delivery.seq in held:
            held.discard(delivery.seq)
            self._held -= 1
            if not held:
                del self._unfinished[token]

    def leave_doubt(self, delivery: Delivery, token: str, shown: float) -> bool:
        """Whether an earlier answer to a question shown at `shown` may exist unhandled."""
        if self._host.interruptions != self._interruptions or self._host.may_repeat(delivery):
            return True
        if shown <= self._since + SKEW:
            return True
        return any(seq < delivery.seq for seq in self._unfinished.get(token, ()))
