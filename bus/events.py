"""Events in a stream, read in the order in which they were stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from .errors import CopyLags
from .reading import every, sequence
from .requests import Requests

_PAGE = 200
_LAG = 0.05
"""Seconds until a copy of the stream that lags behind its leader is read again."""
_LAPS = 40


class StoredEvent(NamedTuple):
    """An event in its stream."""

    seq: int
    data: bytes


Fits = Callable[[int, bytes], bool]
"""Whether an event, by its sequence and body, is the one that is looked for."""


class Events:
    """One stream of events, and the consumer that hands them to whoever waits."""

    def __init__(self, requests: Requests, stream: str, consumer: str) -> None:
        self._requests = requests
        self.stream = stream
        self._consumer = consumer

    async def newest(self, subject: str) -> tuple[int, float]:
        """The last event on `subject` by the leader's word: its sequence, and when it was stored.

        0 and 0.0 when there is none.
        """
        stored = await self._requests.stored(self.stream, last=subject)
        return (stored.seq, stored.at) if stored else (0, 0.0)

    async def handled(self) -> int:
        """The sequence up to which all events were handled, by whichever worker."""
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
            fits: What is looked for.
            upto: The sequence of an event on the subject: nothing after it is looked at.
            after: The sequence after which to begin.
            since: When to begin, Unix seconds, instead of `after`.
            skip: Where to go on when there are many events: the sequence that it returns.

        Raises:
            CopyLags: the copy of the stream that is read lags for too long.
        """
        at, seen = after, 0
        for _ in range(_LAPS):
            start = since if at == after else None
            async for message in every(
                self._requests, self.stream, subject, _PAGE, first=at + 1, since=start
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
        raise CopyLags(f"event {upto} of {self.stream} cannot be read: the copy read lags behind")
