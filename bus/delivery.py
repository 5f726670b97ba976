"""One delivery of a message to a worker, and what its ack subject says about it."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple, Protocol

from .errors import BusError
from .wire import Message, Wire

_V1_FIELDS = 9
_NANOS = 1_000_000_000


class Holder(Protocol):
    """The mailbox that a delivery came through."""

    nc: Wire
    ack_wait: float

    def released(self, delivery: Delivery) -> None:
        """Forget a delivery that was acknowledged one way or another."""
        ...


class AckSubject(NamedTuple):
    """What the server says about a delivery, in its ack subject."""

    stream: str
    num_delivered: int
    seq: int
    consumer_seq: int
    at: float
    pending: int


class Delivery:
    """One delivery of a message to a worker."""

    __slots__ = ("_ack_subject", "_mailbox", "_msg", "closed", "run", "since")

    def __init__(self, mailbox: Holder, msg: Message, meta: AckSubject, since: float) -> None:
        self._mailbox = mailbox
        self._msg = msg
        self._ack_subject = meta
        self.since = since
        """Loop time of the last sign of life before it."""
        self.closed = False
        self.run = ""
        """The run that it is about, set by its handler for the dead letter it may become."""

    @property
    def subject(self) -> str:
        """The subject it was published on."""
        return self._msg.subject

    @property
    def is_text(self) -> bool:
        """Whether its subject is text; if not, `subject` shows its bytes and is not replied to."""
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
        return self._ack_subject.num_delivered

    @property
    def stream(self) -> str:
        """The stream that it comes from."""
        return self._ack_subject.stream

    @property
    def seq(self) -> int:
        """Its sequence in the stream."""
        return self._ack_subject.seq

    @property
    def consumer_seq(self) -> int:
        """The delivery's number among all deliveries of its consumer, to any worker; no gaps."""
        return self._ack_subject.consumer_seq

    @property
    def at(self) -> float:
        """When the stream stored it, Unix seconds by the server's clock."""
        return self._ack_subject.at

    @property
    def pending(self) -> int:
        """How many messages its consumer had not delivered yet when it delivered this one."""
        return self._ack_subject.pending

    @property
    def ack_wait(self) -> float:
        """Seconds after which it is given to another worker, unless they are renewed."""
        return self._mailbox.ack_wait

    async def ack(self) -> None:
        """Acknowledge it, so that it is not delivered again. A crash may undo this."""
        await self._close(b"+ACK")

    async def nak(self, delay: float = 0.0) -> None:
        """Have it redelivered after `delay` seconds at the earliest (or sooner, after a crash)."""
        body = b"-NAK" if delay <= 0 else b'-NAK {"delay":%d}' % int(delay * _NANOS)
        await self._close(body)

    async def term(self) -> None:
        """Have the server never deliver it again."""
        await self._close(b"+TERM")

    def let_go(self) -> None:
        """Leave it to the other worker that has it; it is redelivered if that one lets it lapse."""
        if not self.closed:
            self.closed = True
            self._mailbox.released(self)

    async def in_progress(self, answer_to: str = "") -> None:
        """Ask for another ack-wait; the server confirms it on the subject `answer_to`."""
        with suppress(BusError):
            self._mailbox.nc.send(self._msg.reply, b"+WPI", answer_to)

    async def _close(self, word: bytes) -> None:
        if self.closed:
            return
        self.closed = True
        self._mailbox.released(self)
        # A lost ack is repaired by redelivery; the handler then finds the work done.
        with suppress(BusError):
            self._mailbox.nc.send(self._msg.reply, word)


def parse_ack_subject(reply: str) -> AckSubject | None:
    """Parse an ack subject; None where it is not one, so that the message is not a delivery.

    `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>`. Its second form
    (ADR-15) has the domain and the account before the stream.
    """
    fields = reply.split(".")
    if fields[:2] != ["$JS", "ACK"]:
        return None
    if len(fields) > _V1_FIELDS:
        fields = ["$JS", "ACK", *fields[4:]]
    try:
        delivered, seq, consumer_seq, at, pending = map(int, fields[4:9])
    except ValueError:
        return None
    return AckSubject(fields[2], delivered, seq, consumer_seq, at / _NANOS, pending)
