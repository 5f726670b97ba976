"""Reads ahead of a mailbox: the subjects of waiting messages, much faster than they are handled.

It reads a consumer of its own, whose messages are not acknowledged: each is delivered once. The
mailbox handles every message in order anyway, so a message missed here is only handled later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import structlog

from .delivery import Delivery, parse_ack_subject
from .errors import BusError
from .mailbox import FLOODED
from .wire import Message, Wire

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

log = structlog.get_logger("layby.mailbox")

_PAGE = 512
"""Messages requested and passed on together, at most."""
_SKIPPED = 256
"""Deliveries to the mailbox after which the look-ahead catches up with it."""
_EXPIRES = 2.0
_LATEST = 30.0
"""Seconds without a delivery to the mailbox after which reading ahead stops."""
_PAUSE = 0.5
_SHORT = 4_096
"""Bytes of a message that is kept until somebody has looked at it; longer ones are read again."""
_NANOS = 1_000_000_000


class WaitingMessage(NamedTuple):
    """A message that waits behind a mailbox."""

    subject: str
    seq: int
    at: float
    """When it was stored, Unix seconds by the server's clock."""
    message: Message | None = None
    """All of it, if it is short."""


class Lookahead:
    """Reads what waits behind one mailbox, while the mailbox is behind."""

    def __init__(
        self,
        nc: Wire,
        stream: str,
        consumer: str,
        take: Callable[[list[WaitingMessage]], Awaitable[None]],
    ) -> None:
        self._nc = nc
        self._name = consumer
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._take = take
        """Called with waiting messages in order; more are read when it returns."""
        self._sub: Subscription | None = None
        self._behind = False
        self._latest = 0.0
        self._passed = 0
        self._needed = asyncio.Event()
        self._asked = 0
        self._asked_at = 0.0
        self._seen: list[WaitingMessage] = []
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def note(self, delivery: Delivery, *, flood: bool) -> None:
        """Note a delivery to the mailbox, which says how far behind the mailbox is.

        `flood`: whether most waiting messages do nothing; otherwise there is no need to read ahead.
        """
        self._behind = flood and delivery.pending > FLOODED
        self._latest = self._loop.time()
        self._passed += 1
        if self._behind:
            self._needed.set()
        elif self._passed >= _SKIPPED and self._sub is not None and not self._needed.is_set():
            self._passed = 0
            with suppress(BusError):
                self._ask(2 * _SKIPPED, {"no_wait": True})

    async def keep(self) -> None:
        """Read ahead whenever the mailbox is behind, until cancelled."""
        self._sub = await self._nc.open_inbox(self._on_message)
        try:
            while True:
                await self._needed.wait()
                try:
                    await self._read_ahead()
                except Exception as error:  # noqa: BLE001  the mailbox handles all of it anyway
                    log.info("lookahead.interrupted", mailbox=self._name, error=str(error))
                    await asyncio.sleep(_PAUSE)
        finally:
            sub, self._sub = self._sub, None
            await self._nc.close_inbox(sub)

    async def _read_ahead(self) -> None:
        while self._behind and self._loop.time() - self._latest < _LATEST:
            self._pull()
            with suppress(TimeoutError):
                async with asyncio.timeout(_EXPIRES / 2):  # `wait_for` may lose a cancellation
                    await self._wake.wait()
            self._wake.clear()
            seen, self._seen = self._seen, []
            if seen:
                await self._take(seen)
        self._needed.clear()
        self._seen.clear()

    def _pull(self) -> None:
        now = self._loop.time()
        if now - self._asked_at > _EXPIRES + 1:
            self._asked = 0  # the end of the request was lost, perhaps with the connection
        want = _PAGE - self._asked
        if want * 2 >= _PAGE:
            self._asked += want
            self._asked_at = now
            self._ask(want, {"expires": int(_EXPIRES * _NANOS)})

    def _ask(self, batch: int, more: dict[str, object]) -> None:
        inbox = self._sub.subject if self._sub is not None else ""
        self._nc.send(self._subject, msgspec.json.encode({"batch": batch, **more}), inbox)

    def _on_message(self, msg: Message) -> None:
        if not self._needed.is_set():
            return  # the mailbox has handled it, or soon will
        if status := msg.status:
            left = msg.headers.get("Nats-Pending-Messages", "") if status == "408" else ""
            self._asked = max(0, self._asked - int(left)) if left.isdecimal() else 0
            return
        meta = parse_ack_subject(msg.reply)
        if meta is not None:
            self._asked = max(0, self._asked - 1)
            message = msg if msg.size <= _SHORT else None
            self._seen.append(WaitingMessage(msg.subject, meta.seq, meta.at, message))
            self._wake.set()
