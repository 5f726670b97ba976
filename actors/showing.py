"""How a question is shown to people: published, recorded under its ticket, its deadline armed."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from ..bus.errors import BusError
from ..bus.mailbox import Delivery
from ..bus.reading import every, sequence, up_to
from ..bus.requests import PubAck, Requests
from ..bus.timers import Timers
from ..bus.token import encode
from ..bus.wire import Message
from ..runtime import clock, crash
from ..runtime.entry import UNREADABLE
from ..runtime.host import Host
from ..runtime.services import Due
from ..runtime.signature import HEADER, digest
from ..runtime.state import Question, RunState
from ..runtime.times import iso
from .parked import KEPT, ParkedRecord, Parking, with_question
from .ready import answer_subject, answer_with, form_of

_BEFORE = 0.05
"""Seconds by which somebody may see a question before its stream stamps it."""
_FRESH = 120.0
"""Seconds after its publication in which a question may still lack its record."""


class _Others(Exception):
    """A ticket's record holds other questions too."""


class _Shown(msgspec.Struct):
    """What is read of a published question."""

    id: str


class Showing:
    """Shows the questions to one role of people."""

    def __init__(
        self, role: str, host: Host, parking: Parking, requests: Requests, timers: Timers
    ) -> None:
        self._role = role
        self._host = host
        self._parking = parking
        self._requests = requests
        self._names = requests.names
        self._timers = timers
        self._under_way: dict[str, set[asyncio.Future[None]]] = {}
        """Tickets whose questions this worker is showing right now."""

    async def show(self, state: RunState, question: Question, delivery: Delivery) -> bool:
        """Publish a question, open its record, arm its deadline: each repeatable, in this order.

        Whether somebody has published it before, as far as its stream remembers.

        A question that has a record can be answered, so it must have been seen first. The record
        notes when that was, by the server's clock: who answered before meant another.
        """
        shown = asyncio.get_running_loop().create_future()
        showing = self._under_way.setdefault(state.ticket, set())
        before = showing.copy()
        showing.add(shown)
        try:
            published = await self._open(state, question, delivery, before)
        finally:
            shown.set_result(None)
            self._under_way[state.ticket].discard(shown)
            if not self._under_way[state.ticket]:
                del self._under_way[state.ticket]
        await self._arm(state, question)
        return published.duplicate

    async def _open(
        self,
        state: RunState,
        question: Question,
        delivery: Delivery,
        before: set[asyncio.Future[None]],
    ) -> PubAck:
        lines = answer_with(self._names, state.ticket, question)
        repeated = self._host.may_repeat(delivery)
        ack = await self._publish(state, question, lines)
        prompt = (
            not repeated and not question.digest and 0.0 <= clock.now() - delivery.at <= _BEFORE
        )
        crash.point("after_question")
        crash.point("before_record_put")
        if before:
            await asyncio.wait(before)  # the record has them in the order of their asking
        await self._record_open(state, question, delivery, ack, lines, prompt=prompt)
        crash.point("after_record_put")
        return ack

    async def _publish(self, state: RunState, question: Question, lines: tuple[str, ...]) -> PubAck:
        subject = self._names.subject(f"{self._role}.question.{encode(state.ticket)}")
        data = msgspec.json.encode(self._published(state, question, lines))
        ack = await self._requests.store(subject, data, {"Nats-Msg-Id": question.id})
        if ack.duplicate and await self._is_gone(ack.seq):
            # Purged since then: the server knows its id, and nobody can read it.
            return msgspec.structs.replace(
                await self._requests.store(subject, data), duplicate=True
            )
        return ack

    async def _arm(self, state: RunState, question: Question) -> None:
        due = Due(
            kind="question",
            run=state.id,
            at=question.deadline,
            role=self._role,
            ticket=state.ticket,
            question=question.id,
        )
        await self._timers.arm(question.id, question.deadline, msgspec.json.encode(due))
        crash.point("after_timer")

    async def _record_open(
        self,
        state: RunState,
        question: Question,
        delivery: Delivery,
        ack: PubAck,
        lines: tuple[str, ...],
        *,
        prompt: bool,
    ) -> None:
        """Put a question into its ticket's record, with the time since when it can be answered.

        An unnamed answer to a ticket's only question can mean no other; `prompt`: it was shown as
        soon as it was asked, and then that is since when. Where there are others, an answer must
        not close what its sender cannot have seen: the stream's own stamp is read.
        """
        since = delivery.at
        if ack.duplicate or not prompt:
            since = max(since, await self._stored_at(ack.seq) - _BEFORE)

        def alone(record: ParkedRecord) -> ParkedRecord:
            others = {other.id for other in record.questions} | state.questions.keys()
            if others - {question.id}:
                raise _Others
            return with_question(record, state, question, since, lines)

        try:
            await self._parking.change(state.ticket, alone)
        except _Others:
            stamp = await self._stored_at(ack.seq)
            await self._parking.change(
                state.ticket,
                lambda record: with_question(record, state, question, stamp, lines),
            )

    async def _stored_at(self, seq: int) -> float:
        """When a question was published, Unix seconds by the server's clock."""
        at = await self._requests.stored_at(self._names.stream("QUESTIONS"), seq)
        if at is None:
            raise BusError(f"question {seq} is not in its stream any more")
        return at

    async def _is_gone(self, seq: int) -> bool:
        return await self._requests.stored(self._names.stream("QUESTIONS"), seq=seq) is None

    def _published(
        self, state: RunState, question: Question, lines: tuple[str, ...]
    ) -> dict[str, object]:
        token = encode(state.ticket)
        return {
            "id": question.id,
            "ticket": state.ticket,
            "role": question.role,
            "question": question.question,
            "context": question.context,
            "agent": question.agent,
            "run": state.id,
            "asked_at": iso(question.asked_at),
            "deadline": iso(question.deadline),
            "answer": {
                "subject": self._names.subject(answer_subject(state.ticket, question)),
                "receipt": self._names.subject(f"{self._role}.receipt.{token}"),
                "form": form_of(question.form),
                **({"schema": question.form} if question.form is not None else {}),
            },
            "form": question.form,
            "digest": question.digest,
            "answer_with": lines,
            **({"accept": question.accept} if question.accept else {}),
            **self._to_sign(question),
        }

    def _to_sign(self, question: Question) -> dict[str, object]:
        """What whoever answers has to sign."""
        signers = self._host.services.signers
        if self._role not in signers:
            return {}
        return {
            "call": question.call,
            "sign": {
                "header": HEADER,
                "sha256": digest(question),
                "people": sorted(signers.roles[self._role].keys),
            },
        }

    async def published_before(self, ticket: str, at: float) -> set[str]:
        """The questions on a ticket that were published shortly before, or after."""
        subject = self._names.subject(f"{self._role}.question.{encode(ticket)}")
        newest = await self._requests.stored(self._names.stream("QUESTIONS"), last=subject)
        if newest is None or at - newest.at > _FRESH:
            return set()
        found = await self._published_since(ticket, at - _FRESH)
        return {*_id_in(newest.data), *found}

    async def unrecorded(self, record: ParkedRecord, at: float) -> set[str]:
        """Questions on a ticket that were published by `at` and that its record lacks."""
        closed = [question.since for question in record.questions if question.status != "open"]
        # Up to then the record has forgotten what was closed.
        forgotten = min(closed) if len(closed) >= KEPT else None
        published = await self._published_since(record.ticket, forgotten)
        by_then = {ref for ref, stamp in published.items() if stamp <= at}
        return by_then - {question.id for question in record.questions}

    async def _published_since(self, ticket: str, since: float | None) -> dict[str, float]:
        """The questions on a ticket by their ids, with when they were published.

        None: all that are kept. The server finds them by their subject, and a time by looking
        through a whole block of its store. Any copy is read, and the leader says how far there is
        to read: a question that a lagging copy hid would let an unnamed answer close another.

        Raises:
            CopyLags: no copy has what the leader has, for seconds.
        """
        stream = self._names.stream("QUESTIONS")
        subject = self._names.subject(f"{self._role}.question.{encode(ticket)}")
        newest, read = await asyncio.gather(
            self._requests.stored(stream, last=subject), self._copied(stream, subject, since)
        )
        seen = sequence(read[-1]) if read else 0
        if newest is not None and newest.seq > seen and newest.at >= (since or 0.0):
            rest = up_to(self._requests, stream, subject, newest.seq, first=seen + 1)
            read += [message async for message in rest]
        found: dict[str, float] = {}
        for message in read:
            stamp = datetime.fromisoformat(message.headers["Nats-Time-Stamp"]).timestamp()
            if stamp >= (since or 0.0):
                for ref in _id_in(message.data):
                    found.setdefault(ref, stamp)
        return found

    async def _copied(self, stream: str, subject: str, since: float | None) -> list[Message]:
        """What some copy of a stream holds on a subject."""
        return [message async for message in every(self._requests, stream, subject, since=since)]

    async def shown(self, ticket: str, within: float) -> None:
        """Return when what this worker is showing on `ticket` has its record, or after `within`."""
        if under_way := self._under_way.get(ticket):
            await asyncio.wait(set(under_way), timeout=within)


def _id_in(data: bytes) -> set[str]:
    """The id of a published question; none of what is no question, whoever published it."""
    try:
        return {_read_shown(data).id}
    except UNREADABLE:
        return set()


_read_shown = msgspec.json.Decoder(_Shown).decode
