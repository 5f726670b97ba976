"""Judges the answers to open questions in the order in which they were stored.

A worker that handles an answer first judges all that were stored before it. It remembers up to
where it has, so each answer is read once, by one of the handlers that wait for it, and the
thousandth costs as much as the first. What it remembers is judged again from the beginning
where anything that it depends on has changed, and is gone with the worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple
from weakref import WeakValueDictionary

import msgspec

from ...bus.bounded import Bounded
from ...bus.errors import BusError
from ...bus.requests import Requests
from ...runtime.host import Host
from ...runtime.state import OPEN, Question
from .answer import Sent
from .answer_admission import AnswerAdmission
from .asked_of import related
from .contest import Contest
from .judged_answers import Basis, JudgedAnswers, basis_of
from .parked_question import ParkedQuestion
from .question_closing import QuestionCloser
from .sent_answers import SentAnswers, sent_by
from .tickets import ParkedRecord
from .votes import Votes

_REMEMBERED = 16 * 1024 * 1024


class _Asked(NamedTuple):
    """The questions on a ticket, as answers are judged by them."""

    record: ParkedRecord
    roles: tuple[str, ...]
    """Those whose answers may decide what one to this role means."""
    polls: dict[str, Question]
    basis: Basis

    @property
    def shown(self) -> float:
        """Since when the first of the open ones could be answered, Unix seconds."""
        since = [
            min([each.since, *(shown.since for shown in each.also.values())])
            for each in self.record.questions
            if _is_open(each, self.roles)
        ]
        return min(since)


class _Turn:
    """The handlers of one ticket's answers, of which one reads at a time."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.newest = 0
        """The last answer that one of them has brought: it is stored, and so are all before it."""
        self.failed: BusError | None = None
        """The error of the latest reading that failed."""


class EarlierAnswers:
    """Judges the answers to the questions of one role."""

    def __init__(
        self,
        role: str,
        host: Host,
        requests: Requests,
        *,
        closer: QuestionCloser,
        votes: Votes,
        admission: AnswerAdmission,
    ) -> None:
        self._role = role
        self._host = host
        self._requests = requests
        self._closer = closer
        self._votes = votes
        self._admission = admission
        self._judged: Bounded[str, JudgedAnswers] = Bounded(_REMEMBERED)
        """By ticket."""
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    async def contest(self, ticket: str, before: int | None = None) -> Contest:
        """Judge the answers since the oldest open question was shown, all or those `before`.

        The answers of all roles that may decide, in the order of their stream.

        Raises:
            BusError: the server does not answer, or no copy of the stream has, for seconds, what
                its leader has.
        """
        asked = await self._asked(ticket)
        turn = self._turns.setdefault(ticket, _Turn())
        turn.newest = max(turn.newest, before or 0)
        failed = turn.failed
        async with turn.lock:
            if turn.failed is not None and turn.failed is not failed:
                raise turn.failed  # another handler has just tried for seconds
            try:
                return await self._judge(asked, turn, before)
            except BusError as error:
                turn.failed = error
                raise

    async def _judge(self, asked: _Asked, turn: _Turn, before: int | None) -> Contest:
        """Judge all that is not judged yet, or what was stored `before`. Raises BusError."""
        ticket = asked.record.ticket
        judged = self._judged.get(ticket)
        if judged is not None and not judged.holds(asked.basis):
            # Another handler may have judged by what was asked since.
            asked = await self._asked(ticket)
        if judged is None or not judged.holds(asked.basis):
            judged = JudgedAnswers(asked.basis)
        judged.go_on(asked.basis)
        last = before - 1 if before is not None else await self._newest(asked)
        contest = self._begun(asked)
        judged.replay(contest, float("inf"))
        try:
            if last > judged.end:
                await self._advance(asked, judged, contest, max(last, turn.newest))
        finally:
            judged.expect(contest)
            self._judged.put(ticket, judged, judged.size)
        if before is None or before > judged.end:
            return contest
        contest = self._begun(asked)
        judged.replay(contest, before)
        return contest

    async def _advance(
        self, asked: _Asked, judged: JudgedAnswers, contest: Contest, last: int
    ) -> None:
        """Judge what was stored up to `last` and is not judged yet, unless all is decided."""
        opened = {each.id for each in asked.record.questions if _is_open(each, [self._role])}
        if opened <= contest.closed:
            return
        async with aclosing(self._sent(asked, judged.end, last)) as answers:
            async for sent in answers:
                judged.add(contest, sent)
                if opened <= contest.closed:
                    return

    def _sent(self, asked: _Asked, after: int, last: int) -> AsyncGenerator[Sent]:
        """What was sent to one of the roles after a place in the stream, up to another one."""
        return sent_by(self._readers(asked), asked.record.ticket, asked.shown, last + 1, after)

    async def _newest(self, asked: _Asked) -> int:
        """The last answer that is stored for one of the roles; 0: there is none."""
        readers = self._readers(asked)
        return max([await reader.newest(asked.record.ticket) for reader in readers])

    def _readers(self, asked: _Asked) -> list[SentAnswers]:
        return [SentAnswers(role, self._requests) for role in asked.roles]

    def _begun(self, asked: _Asked) -> Contest:
        rule = self._admission.rule_for(asked.record.ticket)
        return Contest(asked.record, self._role, rule, asked.polls)

    async def _asked(self, ticket: str) -> _Asked:
        """The questions on a ticket, by its record and the logs. Raises Erased."""
        interruptions = self._host.interruptions
        record = await self._closer.caught_up(ticket) or ParkedRecord(ticket=ticket)
        roles = related(record, self._role)
        record = await self._unsealed(record, roles)
        polls = await self._votes.polls(record, roles)
        # As they are now: the log of a run that is in memory keeps growing.
        polls = {ref: msgspec.structs.replace(poll) for ref, poll in polls.items()}
        return _Asked(record, roles, polls, basis_of(record, roles, polls, interruptions))

    async def _unsealed(self, record: ParkedRecord, roles: Sequence[str]) -> ParkedRecord:
        """A record with the full content of the open questions of these roles."""
        if not any(question.sealed for question in record.questions):
            return record
        questions = [
            await self._closer.tickets.unsealed(each) if _is_open(each, roles) else each
            for each in record.questions
        ]
        return msgspec.structs.replace(record, questions=tuple(questions))


def _is_open(question: ParkedQuestion, roles: Sequence[str]) -> bool:
    return question.status == OPEN and not set(roles).isdisjoint(question.roles)
