"""A mailbox: a durable pull consumer, read with bounded concurrency.

It requests exactly as many messages as it may handle, gives each a task of its own, and keeps the
server from redelivering a message that is still being handled. It decides nothing: the handler
sees in the log whether a message was handled before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import structlog
from nats import errors as nats_errors

from .delivery import Delivery as Delivery  # noqa: PLC0414  re-exported
from .delivery import parse_ack_subject
from .errors import BusError
from .wire import Message, Wire

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

log = structlog.get_logger("layby.mailbox")

_EXPIRES = 30.0
_HEARTBEAT = 2.0
"""Seconds between two heartbeats of a request, at most. One that a dead leader had is renewed
after 2.5 of them, when a cluster may already have another leader."""
_RENEWALS = 3
"""How often an ack-wait is renewed while it lasts, and the least number of heartbeats in it."""
_MISSED = 2.5
"""Heartbeats that may be missed before a pull counts as lost."""
_RETRY = 0.25
_UNSETTLED = 2.0
"""Seconds after an interruption in which ack-waits are renewed all the time. A new leader missed
the last renewals, and soon redelivers what it believes nobody is handling."""
_SHARE = 4
"""A mailbox requests at least a quarter of its concurrency, unless no request is open."""
FLOODED = 128
"""Messages waiting at the server above which a mailbox is behind."""
_GATHER = 0.02
"""Seconds that a mailbox that is behind waits for more tasks to end before it requests again."""
_NANOS = 1_000_000_000


Handler = Callable[[Delivery], Awaitable[None]]


class Mailbox:
    """Reads one durable consumer of one stream.

    Where the stream is in another account, an empty message closes the reply subject of its
    request, and later messages for that request are lost until they are redelivered. A mailbox of
    such a stream has to request messages one at a time (`one_at_a_time`).
    """

    def __init__(
        self,
        nc: Wire,
        stream: str,
        consumer: str,
        handler: Handler,
        *,
        concurrency: int = 64,
        ack_wait: float = 30.0,
        one_at_a_time: bool = False,
        on_interrupted: Callable[[], None] | None = None,
    ) -> None:
        self.nc = nc
        self.name = consumer
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._handler = handler
        self._concurrency = concurrency
        self._one_at_a_time = one_at_a_time
        self.ack_wait = ack_wait
        """Seconds after which the consumer redelivers a message that nobody has renewed."""
        self._heartbeat = max(0.1, min(_HEARTBEAT, ack_wait / _RENEWALS))
        self._silence = self._heartbeat * _MISSED
        """Seconds of silence after which a delivery may be old; less than the ack-wait."""
        self._on_interrupted = on_interrupted
        """Called when the consumer may have moved, and so have forgotten what it delivered."""
        self._inbox = ""
        self._sub: Subscription | None = None
        self._asked = 0
        self._busy = 0
        self._pending = 0
        self._last_received = 0.0
        self._interrupted_at = float("-inf")
        self._held: set[Delivery] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pulling = False
        self._asks_at = 0.0
        """Loop time when a full mailbox next asks for a sign of life; 0: it does not ask."""
        self._answers = False
        """Whether the server answered the last request, as far as can be known."""
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def busy(self) -> int:
        """How many messages are being handled."""
        return self._busy

    @property
    def concurrency(self) -> int:
        """How many messages are handled at most."""
        return self._concurrency

    @property
    def bound(self) -> bool:
        """Whether it requests messages of a consumer that answers."""
        return self._pulling and self._answers

    async def start(self) -> None:
        """Subscribe and begin to pull. The caller also runs `keep` in the background."""
        self._sub = await self.nc.open_inbox(self._on_message)
        self._inbox = self._sub.subject
        self._pulling = self._answers = True
        self._last_received = self._loop.time()  # or `keep` would request as many again
        self._pull()

    def reconnected(self) -> None:
        """Pull again: requests do not survive their connection."""
        self._asked = 0
        self._last_received = self._interrupted_at = self._loop.time()
        self._pull()

    def stop(self) -> None:
        """Request no more messages."""
        self._pulling = False

    async def drain(self, grace: float) -> None:
        """Start no new tasks, give running ones `grace` seconds, and hand back the rest."""
        self.stop()
        if self._sub is not None:
            await self.nc.close_inbox(self._sub)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for delivery in list(self._held):
            await delivery.nak()
        with suppress(nats_errors.Error, TimeoutError):
            await self.nc.flush(2)  # or other workers get what is handed back later

    def released(self, delivery: Delivery) -> None:
        """Forget a delivery that was acknowledged one way or another."""
        self._held.discard(delivery)

    def _on_message(self, msg: Message) -> None:
        now, since = self._loop.time(), self._last_received
        if now - since > self._silence and self._on_interrupted is not None:
            self._on_interrupted()  # another worker may have this message by now
        self._last_received = now
        if status := msg.status:
            self._on_status(status, msg)
            return
        meta = parse_ack_subject(msg.reply)
        if meta is None:  # the answer to a full mailbox, or someone has found our inbox
            self._answers = self._answers or bool(self._asks_at)
            return
        self._answers = True
        self._asked = max(0, self._asked - 1)
        self._pending = meta.pending
        delivery = Delivery(self, msg, meta, since)
        self._held.add(delivery)
        if not self._pulling:
            return  # `drain` hands it back
        self._busy += 1
        task = self._loop.create_task(self._handle(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if self._asked * 2 < self._concurrency - self._busy:
            self._pull()

    async def _handle(self, delivery: Delivery) -> None:
        try:
            await self._handler(delivery)
        except asyncio.CancelledError:
            if self._pulling:
                await delivery.nak(_RETRY)
            raise
        except BaseException as error:
            log.warning(
                "delivery.failed",
                mailbox=self.name,
                subject=delivery.subject,
                error=str(error),
                exc_info=error,
            )
            await delivery.nak(min(30.0, 0.5 * 2 ** min(delivery.num_delivered, 6)))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._busy -= 1
        if not task.cancelled():
            task.exception()
        if self._pulling and self._asked == 0 and not self._loop.is_closed():
            self._wake.set()

    def _pull(self) -> None:
        want = self._concurrency - self._busy - self._asked
        if self._one_at_a_time:
            want = min(want, 1 - self._asked)
        if not self._pulling or want <= 0:
            return
        if self._asked and want * _SHARE < self._concurrency:
            return  # the server serves requests in turn: many small ones would starve new workers
        if not self._asked:
            self._last_received = self._loop.time()  # without a request there are no heartbeats
        self._asked += want
        body = {
            "batch": want,
            "expires": int(_EXPIRES * _NANOS),
            "idle_heartbeat": int(self._heartbeat * _NANOS),
        }
        try:
            self.nc.send(self._subject, msgspec.json.encode(body), self._inbox)
        except BusError:
            self._asked -= want

    def _on_status(self, status: str, msg: Message) -> None:
        if status == "100":
            self._answers = True
            return
        headers = msg.headers
        if status == "408":
            left = headers.get("Nats-Pending-Messages", "")
            self._answers = True
            self._asked = max(0, self._asked - (int(left) if left.isdecimal() else 0))
            self._pull()
            return
        # 409 and 503: the consumer moved, is overloaded or is gone; `keep` requests again.
        self._interrupted()
        text = headers.get("Description", "")
        if "Batch Completed" not in text:
            self._answers = False
        if status == "409" and "Batch Completed" not in text:
            log.info("mailbox.interrupted", mailbox=self.name, status=status, reason=text)

    def _interrupted(self) -> None:
        self._asked, self._asks_at = 0, 0.0
        self._interrupted_at = self._loop.time()
        if self._on_interrupted is not None:
            self._on_interrupted()

    async def keep(self) -> None:
        """Renew lost pulls, and the ack-wait of what is being handled, until cancelled."""
        renewed = self._loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY):  # `wait_for` may lose a cancellation
                    await self._wake.wait()
                if self._pending > FLOODED:
                    await asyncio.sleep(_GATHER)
            self._wake.clear()
            now = self._loop.time()
            if (self._asked or self._asks_at) and now - self._last_received > self._silence:
                self._answers = False
                self._interrupted()
            self._pull()
            await self._ask_if_full(now)
            unsettled = not self._answers or now - self._interrupted_at < _UNSETTLED
            if unsettled or now - renewed >= self.ack_wait / _RENEWALS:
                renewed = now
                for delivery in list(self._held):
                    await delivery.in_progress()

    async def _ask_if_full(self, now: float) -> None:
        """Ask for a sign of life in place of heartbeats, which come only with open requests."""
        if self._asked or not self._held:
            self._asks_at = 0.0
        elif now >= self._asks_at:
            if not self._asks_at:
                self._last_received = now  # nothing was expected since the last request ended
            self._asks_at = now + self._heartbeat
            await next(iter(self._held)).in_progress(self._inbox)
