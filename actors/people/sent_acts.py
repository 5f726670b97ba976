"""Reads what people said to a ticket's questions, besides answers, from its stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from ...bus.reading import sequence, stored_at, up_to
from ...bus.requests import Requests
from ...bus.token import encode
from ...bus.wire import Message
from .act import GivenAct, Place, place_of, understood_act
from .answer import SKEW


class SentAct(NamedTuple):
    """An act in its place in the stream."""

    seq: int
    at: float
    """When it was stored, Unix seconds by the server's clock, to the millisecond."""
    role: str
    """The role on whose subject it was sent."""
    given: GivenAct


class SentActs:
    """Reads the acts on one ticket that were sent on the subjects of some roles."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._names = requests.names
        self._stream = self._names.stream("ANSWERS")

    async def between(
        self, ticket: str, roles: Sequence[str], shown: float, seqs: tuple[int, int]
    ) -> list[SentAct]:
        """The acts stored since `shown`, after and before these sequences, in their order.

        Acts that cannot be understood are left out. Raises CopyLags.
        """
        found: list[SentAct] = []
        for role in roles:
            async for each in self._of_role(ticket, role, shown, seqs):
                found.append(each)  # noqa: PERF401  a comprehension would hide the await
        return sorted(found)

    async def _of_role(
        self, ticket: str, role: str, shown: float, seqs: tuple[int, int]
    ) -> AsyncGenerator[SentAct]:
        after, before = seqs
        subject = self._names.subject(f"{role}.*.{encode(ticket)}.>")
        last = await self._requests.stored(self._stream, last=subject)
        if last is None or last.seq <= after or last.at < shown - SKEW:
            return
        end = min(last.seq, before)
        since = None if after else shown - 2 * SKEW
        reading = up_to(self._requests, self._stream, subject, end, first=after + 1, since=since)
        async with aclosing(reading) as messages:
            async for message in messages:
                if sequence(message) >= before:
                    return
                if act := self._act(message, ticket, role):
                    yield act

    def _act(self, message: Message, ticket: str, role: str) -> SentAct | None:
        place = place_of(self._names.own(message.headers["Nats-Subject"]))
        if not isinstance(place, Place):
            return None  # an answer, for instance
        given = understood_act(place, message.data, ticket)
        if not isinstance(given, GivenAct):
            return None
        return SentAct(sequence(message), round(stored_at(message), 3), role, given)
