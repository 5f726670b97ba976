"""Reads the answers that were sent to a ticket from their stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import datetime

from ...bus.reading import sequence, up_to
from ...bus.requests import Requests
from ...bus.token import encode
from ...bus.wire import Message
from ...runtime.signature import HEADER
from .answer import SKEW, Given, Sent, understood
from .answer_subject import sender_of


class SentAnswers:
    """Reads the answers to one role, with and without a responder in the subject."""

    def __init__(self, role: str, requests: Requests) -> None:
        self._role = role
        self._requests = requests
        self._names = requests.names
        self._stream = self._names.stream("ANSWERS")

    async def since(
        self, ticket: str, shown: float, before: int | None = None
    ) -> AsyncGenerator[Sent]:
        """The answers stored since `shown` and, if given, ahead of sequence `before`, in order.

        Answers that cannot be understood are left out. A copy of the stream may lag behind its
        leader, so the leader is asked for the last sequence to read.

        Raises:
            CopyLags: no copy has what the leader has, for seconds.
        """
        plain = self._names.subject(f"{self._role}.response.{encode(ticket)}")
        ends = await asyncio.gather(
            self._end(plain, shown, before), self._end(_with_responder(plain), shown, before)
        )
        async with (
            aclosing(self._on(plain, shown, ends[0])) as unnamed,
            aclosing(self._on(_with_responder(plain), shown, ends[1])) as named,
        ):
            one, other = await anext(unnamed, None), await anext(named, None)
            while message := _earlier(one, other):
                if before is not None and sequence(message) >= before:
                    return
                sent = _sent(message, ticket, plain, self._role)
                if sent is not None:
                    yield sent
                if message is one:
                    one = await anext(unnamed, None)
                else:
                    other = await anext(named, None)

    async def _end(self, subject: str, shown: float, before: int | None) -> int:
        """The sequence to read up to; 0: there is nothing to read."""
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


async def sent_by(
    readers: Sequence[SentAnswers], ticket: str, shown: float, before: int | None = None
) -> AsyncGenerator[Sent]:
    """The answers of several roles, in the order of their stream: see `SentAnswers.since`."""
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(aclosing(reader.since(ticket, shown, before)))
            for reader in readers
        ]
        heads = [await anext(stream, None) for stream in streams]
        while found := [(head.seq, place) for place, head in enumerate(heads) if head is not None]:
            _, place = min(found)
            head = heads[place]
            if head is not None:
                yield head
            heads[place] = await anext(streams[place], None)


def _with_responder(plain: str) -> str:
    """The subjects of the same ticket that name the responder."""
    return f"{plain}.>"


def _earlier(one: Message | None, other: Message | None) -> Message | None:
    if one is None or other is None:
        return one or other
    return one if sequence(one) < sequence(other) else other


def _sent(message: Message, ticket: str, plain: str, role: str) -> Sent | None:
    headers = message.headers
    sender = sender_of(headers["Nats-Subject"].removeprefix(plain)[1:])
    given = understood(message.data, ticket, sender, headers.get(HEADER, ""))
    if not isinstance(given, Given):
        return None
    at = datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()
    return Sent(sequence(message), at, given, role)
