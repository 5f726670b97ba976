"""Which messages have their receipts, as the stream of receipts says.

Thousands of messages on one ticket may ask for it, so the receipts of a ticket are read once, and
then only what is new.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from weakref import WeakValueDictionary

import msgspec

from ...bus.bounded import Bounded
from ...bus.reading import FEW_BYTES, sequence, up_to
from ...bus.requests import Requests, Stored
from ...runtime.envelope import UNREADABLE
from .answer import SKEW

_HELD = 16 * 1024 * 1024
_BYTES_EACH = 80
"""What one receipt takes in memory."""
_MOST = 100_000
"""Receipts of one ticket that are remembered: of more, those for the highest sequences."""


class _Known:
    """The receipts of one ticket that were read."""

    def __init__(self, since: float) -> None:
        self.since = since
        """All receipts are known for what was stored from then on, Unix seconds."""
        self.end = 0
        """The sequence of the last receipt that was read."""
        self.floor = 0
        """Those for lower sequences are forgotten."""
        self.seqs: set[int] = set()
        """What they are for, by its sequence in the stream of answers."""

    def add(self, place: int, seq: int) -> None:
        """Note the receipt at `place`, which is for the message `seq`."""
        self.end = place
        self.seqs.add(seq)
        if len(self.seqs) > _MOST:
            highest = sorted(self.seqs)[_MOST // 2 :]
            self.floor, self.seqs = highest[0], set(highest)


class IssuedReceipts:
    """Reads the receipts that were issued."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._stream = requests.names.stream("QUESTIONS")
        self._known: Bounded[str, _Known] = Bounded(_HELD)
        """By subject."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def has(self, subject: str, seq: int, since: float) -> bool:
        """Whether the receipt on `subject` for the message `seq`, stored at `since`, was issued.

        Raises:
            CopyLags: no copy of the stream has all receipts, for seconds.
        """
        async with self._turns.setdefault(subject, asyncio.Lock()):
            newest = await self._requests.stored(self._stream, last=subject)
            if newest is None or newest.at < since - SKEW:
                return False
            known = self._known.get(subject)
            if known is None or since < known.since or seq < known.floor:
                known = _Known(since - SKEW)  # for those that were stored just before it too
            if seq not in known.seqs and newest.seq > known.end:
                await self._read(subject, known, newest)
            self._known.put(subject, known, _BYTES_EACH * (len(known.seqs) + 10))
            return seq in known.seqs

    async def _read(self, subject: str, known: _Known, newest: Stored) -> None:
        """Read what is not known yet."""
        reading = up_to(
            self._requests,
            self._stream,
            subject,
            newest.seq,
            first=known.end + 1,
            since=None if known.end else known.since - SKEW,
            size=FEW_BYTES,
        )
        async with aclosing(reading) as messages:
            async for message in messages:
                known.add(sequence(message), _seq_in(message.data))


class _Seq(msgspec.Struct):
    """The only field that is read of a receipt."""

    seq: int = 0


def _seq_in(data: bytes) -> int:
    """What a receipt is for; 0 if the message is not a receipt."""
    try:
        return _read_seq(data).seq
    except UNREADABLE:
        return 0


_read_seq = msgspec.json.Decoder(_Seq).decode
