"""The answers that were sent to a ticket, read from their stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

from ..bus.reading import sequence, up_to
from ..bus.requests import Requests
from ..bus.token import encode
from ..bus.wire import Message
from ..runtime.signature import HEADER
from .answer import SKEW, Given, Sent, understood


class SentAnswers:
    """Reads the answers to one role, whoever's subject they came on."""

    def __init__(self, role: str, requests: Requests) -> None:
        self._role = role
        self._requests = requests
        self._names = requests.names
        self._stream = self._names.stream("ANSWERS")

    async def since(
        self, ticket: str, shown: float, before: int | None = None
    ) -> AsyncGenerator[Sent]:
        """Those stored since `shown` and, when given, ahead of sequence `before`, in order.

        What cannot be understood is left out. A copy of the stream may lag behind its leader, so
        the leader is asked how far there is to read.

        Raises:
            CopyLags: no copy has what the leader has, for seconds.
        """
        plain = self._names.subject(f"{self._role}.response.{encode(ticket)}")
        ends = await asyncio.gather(
            self._end(plain, shown, before), self._end(_named_of(plain), shown, before)
        )
        async with (
            aclosing(self._on(plain, shown, ends[0])) as unnamed,
            aclosing(self._on(_named_of(plain), shown, ends[1])) as named,
        ):
            one, other = await anext(unnamed, None), await anext(named, None)
            while message := _earlier(one, other):
                if before is not None and sequence(message) >= before:
                    return
                sent = _sent(message, ticket, plain)
                if sent is not None:
                    yield sent
                if message is one:
                    one = await anext(unnamed, None)
                else:
                    other = await anext(named, None)

    async def _end(self, subject: str, shown: float, before: int | None) -> int:
        """The sequence to read up to; 0: there is nothing."""
        last = await self._requests.stored(self._stream, last=subject)
        if last is None or last.at < shown - SKEW:
            return 0
        return last.seq if before is None else min(last.seq, before)

    async def _on(self, subject: str, shown: float, end: int) -> AsyncGenerator[Message]:
        """The messages on a subject, in order, until one with the sequence `end` or above."""
        if not end:
            return
        since = shown - 2 * SKEW
        async with aclosing(
            up_to(self._requests, self._stream, subject, end, since=since)
        ) as found:
            async for message in found:
                yield message


def _named_of(plain: str) -> str:
    """The subjects of the same ticket that say who answers."""
    return f"{plain}.*"


def _earlier(one: Message | None, other: Message | None) -> Message | None:
    if one is None or other is None:
        return one or other
    return one if sequence(one) < sequence(other) else other


def _sent(message: Message, ticket: str, plain: str) -> Sent | None:
    headers = message.headers
    responder = headers["Nats-Subject"].removeprefix(plain)[1:]
    given = understood(message.data, ticket, responder, headers.get(HEADER, ""))
    if not isinstance(given, Given):
        return None
    at = datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()
    return Sent(sequence(message), at, given)
