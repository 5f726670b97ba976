"""Reads what people said to a ticket's questions, besides answers, from its stream.

Anybody who may say something can say it many thousand times, so that only a few messages are in
memory at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import NamedTuple

from ...bus.merging import merged
from ...bus.reading import FEW_BYTES, sequence, stored_at, up_to
from ...bus.requests import Requests
from ...bus.token import encode
from ...bus.wire import Message
from ...runtime.act_records import VERBS
from .act import GivenAct, Place, place_of, understood_act
from .answer import SKEW

_FEW = 64
"""Places in the stream that are read together with the answers among them."""


class SentAct(NamedTuple):
    """An act in its place in the stream."""

    seq: int
    at: float
    """When it was stored, Unix seconds by the server's clock, to the millisecond."""
    role: str
    """The role on whose subject it was sent."""
    given: GivenAct


class Saying(NamedTuple):
    """A message that was sent as an act."""

    seq: int
    act: SentAct | None
    """None: it cannot be understood."""


class SentActs:
    """Reads the acts on one ticket that were sent on the subjects of some roles."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._names = requests.names
        self._stream = self._names.stream("ANSWERS")

    async def newest(self, ticket: str, roles: Iterable[str]) -> int:
        """The sequence of the last message that may be an act, according to the leader; 0: none."""
        found = [await self._last(self._subject(role, "*", ticket)) for role in roles]
        return max((seq for seq, _ in found), default=0)

    async def between(
        self, ticket: str, after: Mapping[str, int], before: int, shown: float
    ) -> AsyncGenerator[Saying]:
        """What was sent as acts, in the order of the stream.

        Args:
            ticket: The ticket.
            after: By role: the sequence after which its acts are read; 0: from `shown` on.
            before: The sequence before which they are read. The stream must hold one as high.
            shown: Since when there were any, Unix seconds.

        Raises:
            CopyLags: no copy has what the leader has, for seconds.
        """
        readings = [
            self._of(ticket, role, verb, shown, (begin, before))
            for role, begin in after.items()
            # The server skips the answers where there may be many.
            for verb in (VERBS if before - begin > _FEW else ("*",))
            if begin < before - 1
        ]
        async with aclosing(merged(readings, lambda saying: saying.seq)) as said:
            async for saying in said:
                yield saying

    async def _of(
        self, ticket: str, role: str, verb: str, shown: float, seqs: tuple[int, int]
    ) -> AsyncGenerator[Saying]:
        """What was sent with one verb, or with any."""
        after, before = seqs
        subject = self._subject(role, verb, ticket)
        last, at = await self._last(subject)
        if last <= after or at < shown - SKEW:
            return
        since = None if after else shown - 2 * SKEW
        reading = up_to(
            self._requests,
            self._stream,
            subject,
            min(last, before),
            first=after + 1,
            since=since,
            size=FEW_BYTES,
        )
        async with aclosing(reading) as messages:
            async for message in messages:
                if sequence(message) >= before:
                    return
                yield Saying(sequence(message), self._act(message, ticket, role))

    def _subject(self, role: str, verb: str, ticket: str) -> str:
        return self._names.subject(f"{role}.{verb}.{encode(ticket)}.>")

    async def _last(self, subject: str) -> tuple[int, float]:
        last = await self._requests.stored(self._stream, last=subject)
        return (last.seq, last.at) if last is not None else (0, 0.0)

    def _act(self, message: Message, ticket: str, role: str) -> SentAct | None:
        place = place_of(self._names.own(message.headers["Nats-Subject"]))
        if not isinstance(place, Place):
            return None  # an answer, for instance
        given = understood_act(place, message.data, ticket)
        if not isinstance(given, GivenAct):
            return None
        return SentAct(sequence(message), round(stored_at(message), 3), role, given)
