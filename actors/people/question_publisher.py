"""Shows a question to people: publishes it, records it under its ticket, arms its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ...bus.errors import BusError, Conflict
from ...bus.group_commit import GroupCommit
from ...bus.mailbox import Delivery
from ...bus.requests import Requests
from ...bus.timers import Timers
from ...runtime import clock, crash
from ...runtime.host import Host
from ...runtime.ports import Due
from ...runtime.quorum import roles_of
from ...runtime.state import Question, RunState
from ...runtime.trace_fold import headers_of
from .answer_lines import answer_with
from .asked_of import asked_also_of
from .parked_question import UNKNOWN, ParkedQuestion, Shown, parked_question
from .published_question import published_question
from .published_questions import ASKED_OF, PublishedQuestions
from .shown_ladder import ShownTo
from .tickets import ParkedRecord, Tickets, question_in, with_question
from .unserved import CardWatch

_BEFORE = 0.05
"""Seconds by which a person may see a question before its stream stamps it."""
_EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
_ATTEMPTS = 4
"""Attempts to publish a question right after the previous one on its ticket."""


class _Published(NamedTuple):
    """Where a question lies in the stream QUESTIONS."""

    seq: int
    after: int
    """Where the previous one on its ticket lies; 0: it was the first; or `UNKNOWN`."""
    duplicate: bool
    """Whether it had been published before."""


class _Others(Exception):
    """A ticket's record has other questions too."""


class QuestionPublisher:
    """Shows the questions to one role of people."""

    def __init__(
        self,
        role: str,
        host: Host,
        tickets: Tickets,
        *,
        requests: Requests,
        questions: GroupCommit,
        timers: Timers,
        watch: CardWatch,
    ) -> None:
        self._role = role
        self._host = host
        self._tickets = tickets
        self._requests = requests
        self._questions = questions
        self._names = requests.names
        self._timers = timers
        self._watch = watch
        self.published = PublishedQuestions(role, requests)
        self._publishing: dict[str, set[asyncio.Future[None]]] = {}
        """By ticket: the questions that this worker is publishing right now."""

    async def show(self, state: RunState, question: Question, delivery: Delivery) -> bool:
        """Publish a question, open its record, arm its deadline: each repeatable, in this order.

        Returns whether it was published before, as far as its stream remembers.

        A question with a record can be answered, so people must be able to see it first. The
        record notes since when, by the server's clock: an earlier answer meant another question.
        """
        shown = asyncio.get_running_loop().create_future()
        publishing = self._publishing.setdefault(state.ticket, set())
        before = publishing.copy()
        publishing.add(shown)
        try:
            published = await self._open(state, question, delivery, before)
        finally:
            shown.set_result(None)
            self._publishing[state.ticket].discard(shown)
            if not self._publishing[state.ticket]:
                del self._publishing[state.ticket]
        arming = [self._watch.arm(state, question, role) for role in roles_of(question)]
        await asyncio.gather(self._arm(state, question), *arming)
        return published.duplicate

    async def _open(
        self,
        state: RunState,
        question: Question,
        delivery: Delivery,
        before: set[asyncio.Future[None]],
    ) -> _Published:
        shown = await self._tickets.sealed(parked_question(state, question))
        lines = answer_with(self._names, state.ticket, shown, question.role)
        repeated = self._host.may_repeat(delivery)
        trace = headers_of(state, question.frame)
        also = {
            role: await self._publish_for(role, state.ticket, shown, trace)
            for role in roles_of(question)[1:]
        }
        published = await self._publish(state.ticket, shown, lines, trace)
        prompt = (
            not repeated and not question.digest and 0.0 <= clock.now() - delivery.at <= _BEFORE
        )
        prompt = prompt and not published.duplicate
        crash.point("after_question")
        crash.point("before_record_put")
        if before:
            await asyncio.wait(before)  # the record has them in the order in which they were asked
        placed = Shown(0.0, lines, published.seq, published.after, also)
        await self._record_open(state, question, delivery, placed, prompt=prompt and not also)
        crash.point("after_record_put")
        return published

    async def _publish_for(
        self, role: str, ticket: str, question: ParkedQuestion, trace: Mapping[str, str]
    ) -> ShownTo:
        """Publish a question to another role that decides it, unless it can be read there."""
        view = asked_also_of(question, role)
        lines = answer_with(self._names, ticket, view, role)
        signers = self._host.ports.signers
        data = msgspec.json.encode(published_question(self._names, ticket, view, lines, signers))
        subject = PublishedQuestions(role, self._requests).subject(ticket)
        headers = {ASKED_OF: question.role, **trace}
        id_ = {"Nats-Msg-Id": f"{question.id}.{role}"}
        ack = await self._questions.store(subject, subject, data, id_ | headers)
        if ack.duplicate and await self._is_gone(ack.seq):
            ack = await self._questions.store(subject, subject, data, headers)
        crash.point("after_question_for_role")
        return ShownTo(since=await self._stored_at(ack.seq) - _BEFORE, seq=ack.seq)

    async def _publish(
        self,
        ticket: str,
        question: ParkedQuestion,
        lines: tuple[str, ...],
        trace: Mapping[str, str],
    ) -> _Published:
        """Publish a question, right after the last one on its ticket that is known here.

        The records of both then show that no other was published in between.
        """
        subject = self.published.subject(ticket)
        signers = self._host.ports.signers
        message = published_question(self._names, ticket, question, lines, signers)
        data = msgspec.json.encode(message)
        after = self._tickets.last_shown(ticket, self._role)
        headers = {"Nats-Msg-Id": question.id, _EXPECTED_LAST: str(after), **trace}
        for _ in range(_ATTEMPTS):
            try:
                ack = await self._questions.store(subject, subject, data, headers)
            except Conflict:
                newest = await self.published.newest(ticket)
                after = 0 if newest is None else newest.seq
                headers[_EXPECTED_LAST] = str(after)
            else:
                break
        else:
            after = UNKNOWN
            headers = {"Nats-Msg-Id": question.id, **trace}
            ack = await self._questions.store(subject, subject, data, headers)
        if not ack.duplicate:
            return _Published(ack.seq, after, duplicate=False)
        if await self._is_gone(ack.seq):
            # Purged since: the server remembers its id, and nobody can read it.
            ack = await self._questions.store(subject, subject, data, trace)
        return _Published(ack.seq, UNKNOWN, duplicate=True)

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
        placed: Shown,
        *,
        prompt: bool,
    ) -> None:
        """Put a question into its ticket's record, with the time since when it can be answered.

        An unnamed answer to a ticket's only question can mean no other. If that question was
        published as soon as it was asked (`prompt`), it can be answered since then. If there are
        others, an answer must not close a question that its sender cannot have seen: the stream's
        own stamp is read.
        """
        since = delivery.at
        if not prompt:
            since = max(since, await self._stored_at(placed.seq) - _BEFORE)
        shown = placed._replace(since=since)

        def with_only_question(record: ParkedRecord) -> ParkedRecord:
            others = {other.id for other in record.questions} | state.questions.keys()
            if others - {question.id}:
                raise _Others
            return with_question(record, state, question, shown)

        seen = self._tickets.remembered(state.ticket)
        if question_in(seen[0], question.id) is not None:
            seen = (None, 0)  # shown before: only the newest record says whether it has it still
        try:
            await self._tickets.change(state.ticket, with_only_question, seen)
        except _Others:
            shown = shown._replace(since=await self._stored_at(placed.seq))
            await self._tickets.change(
                state.ticket,
                lambda record: with_question(record, state, question, shown),
                seen if seen[0] is not None else await self._tickets.get_newest(state.ticket),
            )

    async def _stored_at(self, seq: int) -> float:
        """When a question was published, Unix seconds by the server's clock."""
        at = await self._requests.stored_at(self._names.stream("QUESTIONS"), seq)
        if at is None:
            raise BusError(f"question {seq} is no longer in its stream")
        return at

    async def _is_gone(self, seq: int) -> bool:
        return await self._requests.stored(self._names.stream("QUESTIONS"), seq=seq) is None

    def is_recording(self, ticket: str) -> bool:
        """Whether a question is being published here on `ticket`, and may have no record yet."""
        return ticket in self._publishing

    async def wait_recorded(self, ticket: str, within: float) -> None:
        """Wait for the records of questions that are being published here on `ticket`.

        `within`: seconds after which it returns anyway. An answer may come before the record.
        """
        if publishing := self._publishing.get(ticket):
            await asyncio.wait(set(publishing), timeout=within)
