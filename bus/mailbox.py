"""A mailbox: a durable pull consumer, read with bounded concurrency.

Asks for exactly as many messages as it may handle, hands each to its own task, and keeps the
server from redelivering what is still being handled. Nothing here decides anything: whether a
message was handled before is for the handler to see in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import structlog
from nats import errors as nats_errors

from .errors import BusError
from .wire import Message, Wire

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

log = structlog.get_logger("layby.mailbox")

_EXPIRES = 30.0
_HEARTBEAT = 5.0
_RENEWALS = 3
"""Times in an ack-wait that it is renewed, and that the server is heard at least."""
_MISSED = 2.5
"""Heartbeats that may be missed before a pull counts as lost."""
_RETRY = 0.25
_SHARE = 4
"""A mailbox asks for a quarter of what it may hold at least, unless it has asked for nothing."""
_V1_FIELDS = 9
_NANOS = 1_000_000_000


class _Meta(NamedTuple):
    """What the server says of a delivery, in its ack subject."""

    stream: str
    num_delivered: int
    seq: int
    consumer_seq: int
    at: float


class Delivery:
    """One message in a worker's hands."""

    __slots__ = ("_mailbox", "_msg", "_told", "closed", "run")

    def __init__(self, mailbox: Mailbox, msg: Message, meta: _Meta) -> None:
        self._mailbox = mailbox
        self._msg = msg
        self._told = meta
        self.closed = False
        self.run = ""
        """The run that it is about, noted by its handler for whoever has to give it up."""

    @property
    def subject(self) -> str:
        """The subject it was published on."""
        return self._msg.subject

    @property
    def is_text(self) -> bool:
        """Whether its subject is text; if not, `subject` shows its bytes, and nobody answers."""
        return self._msg.is_text

    @property
    def data(self) -> bytes:
        """The payload."""
        return self._msg.data

    @property
    def headers(self) -> dict[str, str]:
        """The headers, empty when there are none."""
        return self._msg.headers

    @property
    def num_delivered(self) -> int:
        """How often it was delivered, this time included."""
        return self._told.num_delivered

    @property
    def stream(self) -> str:
        """The stream that it comes from."""
        return self._told.stream

    @property
    def seq(self) -> int:
        """Its sequence in the stream."""
        return self._told.seq

    @property
    def consumer_seq(self) -> int:
        """The delivery's number among all of its consumer: without a gap, whoever gets them."""
        return self._told.consumer_seq

    @property
    def at(self) -> float:
        """When the stream stored it, Unix seconds by the server's clock."""
        return self._told.at

    async def ack(self) -> None:
        """Tell the server that it need not be delivered again. May be forgotten by a crash."""
        await self._close(b"+ACK")

    async def nak(self, delay: float = 0.0) -> None:
        """Ask for it again, `delay` seconds from now at the earliest (or sooner, after a crash)."""
        body = b"-NAK" if delay <= 0 else b'-NAK {"delay":%d}' % int(delay * _NANOS)
        await self._close(body)

    async def term(self) -> None:
        """Tell the server never to deliver it again."""
        await self._close(b"+TERM")

    async def in_progress(self) -> None:
        """Ask for another ack-wait."""
        with suppress(BusError):
            self._mailbox.nc.send(self._msg.reply, b"+WPI")

    async def _close(self, word: bytes) -> None:
        if self.closed:
            return
        self.closed = True
        self._mailbox.released(self)
        # A lost ack is repaired by redelivery; the handler then finds the work done.
        with suppress(BusError):
            self._mailbox.nc.send(self._msg.reply, word)


def _meta(reply: str) -> _Meta | None:
    """Read an ack subject, `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>`...

    Its second form (ADR-15) has the domain and the account before the stream. None where it is
    neither: the message is no delivery.
    """
    fields = reply.split(".")
    if fields[:2] != ["$JS", "ACK"]:
        return None
    if len(fields) > _V1_FIELDS:
        fields = ["$JS", "ACK", *fields[4:]]
    try:
        delivered, seq, consumer_seq, at = map(int, fields[4:8])
    except ValueError:
        return None
    return _Meta(fields[2], delivered, seq, consumer_seq, at / _NANOS)


Handler = Callable[[Delivery], Awaitable[None]]


class Mailbox:
    """Reads one durable consumer of one stream."""

    def __init__(
        self,
        nc: Wire,
        stream: str,
        consumer: str,
        handler: Handler,
        *,
        concurrency: int = 64,
        ack_wait: float = 30.0,
        on_interrupted: Callable[[], None] | None = None,
    ) -> None:
        self.nc = nc
        self.name = consumer
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._handler = handler
        self._concurrency = concurrency
        self._ack_wait = ack_wait
        self._heartbeat = max(0.1, min(_HEARTBEAT, ack_wait / _RENEWALS))
        self._silence = self._heartbeat * _MISSED
        """Seconds after which nothing that comes is new for certain; less than the ack-wait."""
        self._on_interrupted = on_interrupted
        """Told when the consumer may have moved, and with it forgotten what it delivered."""
        self._inbox = ""
        self._sub: Subscription | None = None
        self._asked = 0
        self._busy = 0
        self._heard = 0.0
        self._held: set[Delivery] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pulling = False
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Subscribe and begin to pull. Whoever starts it runs `keep` beside it."""
        self._sub = await self.nc.open_inbox(self._on_message)
        self._inbox = self._sub.subject
        self._pulling = True
        self._heard = self._loop.time()  # or the keeper would ask for as many again
        self._pull()

    def reconnected(self) -> None:
        """Pull anew: requests do not survive their connection."""
        self._asked = 0
        self._heard = self._loop.time()
        self._pull()

    def stop(self) -> None:
        """Ask for nothing more."""
        self._pulling = False

    async def drain(self, grace: float) -> None:
        """Take nothing new, give what is running `grace` seconds, hand back the rest."""
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
            await self.nc.flush(2)  # or others wait for what is handed back

    def released(self, delivery: Delivery) -> None:
        """Forget a delivery that was acknowledged one way or another."""
        self._held.discard(delivery)

    def _on_message(self, msg: Message) -> None:
        now = self._loop.time()
        if now - self._heard > self._silence and self._on_interrupted is not None:
            self._on_interrupted()  # what comes so late may be in other hands by now
        self._heard = now
        if status := msg.status:
            self._on_status(status, msg)
            return
        meta = _meta(msg.reply)
        if meta is None:
            return  # somebody has found our inbox
        self._asked = max(0, self._asked - 1)
        delivery = Delivery(self, msg, meta)
        self._held.add(delivery)
        if not self._pulling:
            return  # it came while the mailbox is drained, which hands it back
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
        if not self._pulling or want <= 0:
            return
        if self._asked and want * _SHARE < self._concurrency:
            return  # the server serves requests in turn: many small ones would starve new workers
        if not self._asked:
            self._heard = self._loop.time()  # who asks for nothing hears nothing
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
            return
        headers = msg.headers
        if status == "408":
            left = headers.get("Nats-Pending-Messages", "")
            self._asked = max(0, self._asked - (int(left) if left.isdecimal() else 0))
            self._pull()
            return
        # 409 and 503: the consumer moved, is overloaded or is gone; the keeper asks again.
        self._interrupted()
        text = headers.get("Description", "")
        if status == "409" and "Batch Completed" not in text:
            log.info("mailbox.interrupted", mailbox=self.name, status=status, reason=text)

    def _interrupted(self) -> None:
        self._asked = 0
        if self._on_interrupted is not None:
            self._on_interrupted()

    async def keep(self) -> None:
        """Renew lost pulls, and the ack-wait of what is being handled, until cancelled."""
        renewed = self._loop.time()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _RETRY)
            self._wake.clear()
            now = self._loop.time()
            if self._asked and now - self._heard > self._silence:
                self._interrupted()
            self._pull()
            if now - renewed >= self._ack_wait / _RENEWALS:
                renewed = now
                for delivery in list(self._held):
                    await delivery.in_progress()
