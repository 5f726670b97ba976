"""Events in a stream, read in the order in which they were stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from .errors import CopyLags
from .reading import FEW_BYTES, every, sequence
from .requests import Requests

_PAGE = 200
_LAG = 0.05
"""Seconds before a copy that lags behind the stream's leader is read again."""
_READS = 40


class Event(Protocol):
    """A message on a subject of events, from any source."""

    @property
    def subject(self) -> str:
        """The subject it was published on."""
        ...

    @property
    def data(self) -> bytes:
        """The payload."""
        ...

    @property
    def headers(self) -> dict[str, str]:
        """The headers, empty when there are none."""
        ...

    @property
    def seq(self) -> int:
        """Its sequence in the stream."""
        ...

    @property
    def at(self) -> float:
        """When the stream stored it, Unix seconds by the server's clock."""
        ...


class StoredEvent(NamedTuple):
    """An event in its stream."""

    seq: int
    data: bytes


Fits = Callable[[int, bytes], bool]
"""Whether an event, by its sequence and body, is the wanted one."""


class Events:
    """One stream of events, and the consumer that delivers them to waiting runs."""

    def __init__(self, requests: Requests, stream: str, consumer: str) -> None:
        self._requests = requests
        self.stream = stream
        self._consumer = consumer

    async def newest(self, subject: str) -> tuple[int, float]:
        """The last event on `subject` according to the leader: its sequence and storage time.

        0 and 0.0 when there is none.
        """
        stored = await self._requests.stored(self.stream, last=subject)
        return (stored.seq, stored.at) if stored else (0, 0.0)

    async def handled(self) -> int:
        """The sequence up to which all events were handled, by any worker."""
        info = await self._requests.api(f"CONSUMER.INFO.{self.stream}.{self._consumer}")
        return int(info["ack_floor"]["stream_seq"])

    async def first(
        self,
        subject: str,
        fits: Fits,
        *,
        upto: int,
        after: int = 0,
        since: float | None = None,
        skip: Callable[[], Awaitable[int]] | None = None,
    ) -> StoredEvent | None:
        """The first event on `subject` that fits.

        Args:
            subject: The subject of the events.
            fits: Whether an event is the wanted one.
            upto: The sequence of an event on the subject: later ones are not read.
            after: The sequence after which to begin.
            since: When to begin, Unix seconds, instead of `after`.
            skip: Called after a page of events: the sequence after which to continue.

        Raises:
            CopyLags: the copy of the stream lags for too long.
        """
        at, seen = after, 0
        for _ in range(_READS):
            start = since if at == after else None
            async for message in every(
                self._requests,
                self.stream,
                subject,
                _PAGE,
                first=at + 1,
                since=start,
                size=FEW_BYTES,
            ):
                at, seen = sequence(message), seen + 1
                if at <= upto and fits(at, message.data):
                    return StoredEvent(at, message.data)
                if at >= upto:
                    return None
                if seen == _PAGE and skip is not None:
                    at = max(at, await skip())
                    break
            else:
                if await self._requests.stored(self.stream, seq=upto) is None:
                    return None  # it has been deleted
                await asyncio.sleep(_LAG)
        raise CopyLags(f"event {upto} of {self.stream} cannot be read: the copy lags behind")
