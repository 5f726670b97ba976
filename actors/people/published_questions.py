"""The questions to one role in their stream, which are read when a record may lack some."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

import msgspec

from ...bus.reading import FEW_BYTES, sequence, stored_at, up_to
from ...bus.requests import Requests, Stored
from ...bus.token import encode
from ...bus.wire import Message
from ...runtime.envelope import UNREADABLE
from .tickets import KEPT, ParkedRecord, holds_all

_FRESH = 120.0
"""Seconds after it is published in which a question may still have no record."""
RUNG = "Layby-Rung"
"""Header of a question that is published again: which rung of its ladder was reached, from 0."""
ASKED_OF = "Layby-Asked-Of"
"""Header of a question that was escalated to another role: the role that was asked."""


class _Id(msgspec.Struct):
    """The only field that is read of a published question."""

    id: str


class Publication(NamedTuple):
    """Where a question was first published."""

    seq: int
    at: float
    """When, Unix seconds by the server's clock."""


class PublishedQuestions:
    """The questions that were published for one role."""

    def __init__(self, role: str, requests: Requests) -> None:
        self._role = role
        self._requests = requests
        self._names = requests.names

    def subject(self, ticket: str) -> str:
        """Where questions on a ticket are published."""
        return self._names.subject(f"{self._role}.question.{encode(ticket)}")

    async def newest(self, ticket: str) -> Stored | None:
        """The last one on a ticket, from the stream's leader."""
        return await self._requests.stored(
            self._names.stream("QUESTIONS"), last=self.subject(ticket)
        )

    async def find(self, ticket: str, question: str, since: float) -> Publication | None:
        """Where a question was first published since a time; None: it was not. Raises CopyLags."""
        return (await self._since(ticket, since)).get(question)

    async def find_rung(
        self, ticket: str, question: str, rung: int, since: float
    ) -> Publication | None:
        """Where a rung of a question was published since a time; None: it was not."""
        async with aclosing(self._read(ticket, since)) as messages:
            async for message in messages:
                if message.headers.get(RUNG) == str(rung) and question in _id_in(message.data):
                    return Publication(sequence(message), stored_at(message))
        return None

    async def published_before(self, ticket: str, at: float) -> set[str]:
        """The questions on a ticket that were published after `at`, or shortly before."""
        newest = await self.newest(ticket)
        if newest is None or at - newest.at > _FRESH:
            return set()
        found = await self._since(ticket, at - _FRESH)
        return {*_id_in(newest.data), *found}

    async def unrecorded(self, record: ParkedRecord, at: float) -> set[str]:
        """Questions on a ticket that were published by `at` and are missing in its record.

        One read is enough if the record has every published question and what came before it.
        """
        newest = await self.newest(record.ticket)
        if newest is None or holds_all(record, self._role, newest.seq):
            return set()
        closed = [question.since for question in record.questions if question.status != "open"]
        # The record has dropped the questions that were closed before then.
        dropped = min(closed) if len(closed) >= KEPT else None
        published = await self._since(record.ticket, dropped)
        by_then = {ref for ref, found in published.items() if found.at <= at}
        return by_then - {each.id for each in record.questions if self._role in each.roles}

    async def _since(self, ticket: str, since: float | None) -> dict[str, Publication]:
        """The questions on a ticket by their ids, with their first publication."""
        found: dict[str, Publication] = {}
        async with aclosing(self._read(ticket, since)) as messages:
            async for message in messages:
                if RUNG in message.headers and ASKED_OF not in message.headers:
                    continue  # it had been published before
                for ref in _id_in(message.data):
                    found.setdefault(ref, Publication(sequence(message), stored_at(message)))
        return found

    async def _read(self, ticket: str, since: float | None) -> AsyncGenerator[Message]:
        """The messages on a ticket's subject, in their order; a few are held at a time.

        `since` None: all that are kept. The server finds them by their subject; to find a time it
        scans a whole block of its store. Any copy is read, and the leader gives the last sequence:
        a question that a lagging copy lacks would let an unnamed answer close another.

        Raises:
            CopyLags: no copy has what the leader has, for seconds.
        """
        newest = await self.newest(ticket)
        if newest is None or newest.at < (since or 0.0):
            return
        stream, subject = self._names.stream("QUESTIONS"), self.subject(ticket)
        reading = up_to(self._requests, stream, subject, newest.seq, since=since, size=FEW_BYTES)
        async with aclosing(reading) as messages:
            async for message in messages:
                if stored_at(message) >= (since or 0.0):
                    yield message


def _id_in(data: bytes) -> set[str]:
    """The id of a published question; empty if the message is not a question."""
    try:
        return {_read_id(data).id}
    except UNREADABLE:
        return set()


_read_id = msgspec.json.Decoder(_Id).decode
