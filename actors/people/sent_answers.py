"""Reads the answers that were sent to a ticket from their stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime

from ...bus.merging import merged
from ...bus.reading import FEW_BYTES, sequence, up_to
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
        self, ticket: str, shown: float, before: int | None = None, after: int = 0
    ) -> AsyncGenerator[Sent]:
        """The answers stored since `shown`, in order.

        If given, only those ahead of the sequence `before`, and behind `after`, which was stored
        since then. Answers that cannot be understood are left out. A copy of the stream may lag
        behind its leader, so the leader is asked for the last sequence to read.

        Raises:
            CopyLags: no copy has what the leader has, for seconds.
        """
        plain, named = subjects = self._subjects(ticket)
        ends = await asyncio.gather(
            self._end(plain, shown, before), self._end(named, shown, before)
        )
        readings = [
            self._on(each, shown, end, after)
            for each, end in zip(subjects, ends, strict=True)
            if end > after
        ]
        async with aclosing(merged(readings, sequence)) as messages:
            async for message in messages:
                if before is not None and sequence(message) >= before:
                    return
                sent = _sent(message, ticket, plain, self._role)
                if sent is not None:
                    yield sent

    async def newest(self, ticket: str) -> int:
        """The sequence of the last answer, according to the stream's leader; 0: none."""
        stored = await asyncio.gather(
            *(self._requests.stored(self._stream, last=each) for each in self._subjects(ticket))
        )
        return max(each.seq if each is not None else 0 for each in stored)

    def _subjects(self, ticket: str) -> tuple[str, str]:
        """Where answers are sent, without and with the name of the responder."""
        plain = self._names.subject(f"{self._role}.response.{encode(ticket)}")
        return plain, f"{plain}.>"

    async def _end(self, subject: str, shown: float, before: int | None) -> int:
        """The sequence to read up to; 0: there is nothing to read."""
        last = await self._requests.stored(self._stream, last=subject)
        if last is None or last.at < shown - SKEW:
            return 0
        return last.seq if before is None else min(last.seq, before)

    async def _on(
        self, subject: str, shown: float, end: int, after: int
    ) -> AsyncGenerator[Message]:
        """The messages on a subject, in order, until one with the sequence `end` or above."""
        reading = up_to(
            self._requests,
            self._stream,
            subject,
            end,
            first=after + 1,
            since=None if after else shown - 2 * SKEW,
            size=FEW_BYTES,
        )
        async with aclosing(reading) as messages:
            async for message in messages:
                yield message


async def sent_by(
    readers: Sequence[SentAnswers],
    ticket: str,
    shown: float,
    before: int | None = None,
    after: int = 0,
) -> AsyncGenerator[Sent]:
    """The answers of several roles, in the order of their stream: see `SentAnswers.since`."""
    readings = [reader.since(ticket, shown, before, after) for reader in readers]
    async with aclosing(merged(readings, lambda sent: sent.seq)) as answers:
        async for sent in answers:
            yield sent


def _sent(message: Message, ticket: str, plain: str, role: str) -> Sent | None:
    headers = message.headers
    sender = sender_of(headers["Nats-Subject"].removeprefix(plain)[1:])
    given = understood(message.data, ticket, sender, headers.get(HEADER, ""))
    if not isinstance(given, Given):
        return None
    at = datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()
    return Sent(sequence(message), at, given, role)
