"""Which question an answer closes: the first valid one that was stored while it was open wins."""

from __future__ import annotations

from contextlib import aclosing
from typing import NamedTuple

from ..bus.errors import Erased
from ..bus.mailbox import Delivery
from ..bus.requests import Requests
from ..runtime import crash
from ..runtime.entry import Answered
from ..runtime.host import Host
from ..runtime.run import LiveRun
from ..runtime.state import OPEN, Question
from .admission import Admission
from .answer import Contest, Given, Sent, Verdict, is_named, judge
from .arrivals import Arrivals
from .closing import Closing, NotAsked
from .parked import ParkedQuestion, ParkedRecord
from .sent import SentAnswers
from .showing import Showing

MOMENT = 0.2
"""Seconds after which an answer is looked at again whose question is just being shown."""
_NOT_ASKED = "the run's log has another question than the record of this ticket: look at the run"
_PATIENCE = 300
"""Deliveries of such an answer, about a minute."""


class Taken(NamedTuple):
    """What became of an answer, and the question that was closed for it."""

    verdict: Verdict
    live: LiveRun | None = None
    question: Question | None = None


class NotYet(Exception):
    """The question that an answer may be for is just being shown: look again in a moment."""


class _Overtaken(Exception):
    """Something else has closed the question: judge again by what the logs say now."""


class _Unrecorded(Exception):
    """The log does not take what the record of the ticket would have it take."""


class _Answer(NamedTuple):
    """One answer in our hands."""

    ticket: str
    token: str
    given: Given
    delivery: Delivery

    @property
    def sent(self) -> Sent:
        return Sent(self.delivery.seq, self.delivery.at, self.given)


class Taking:
    """Takes the answers to one role."""

    def __init__(
        self, role: str, host: Host, requests: Requests, showing: Showing, closing: Closing
    ) -> None:
        self._role = role
        self._host = host
        self._parking = closing.parking
        self._showing = showing
        self._closing = closing
        self._sent = SentAnswers(role, requests)
        self._admission = Admission(role, host, requests.names)
        self.arrivals = Arrivals(role, host, requests)

    async def take(self, ticket: str, token: str, given: Given, delivery: Delivery) -> Taken:
        """Close the question that an answer is for, by the first answer that may have it.

        Raises:
            NotYet: it may be for a question that is just being shown.
        """
        answer = _Answer(ticket, token, given, delivery)
        await self._showing.shown(ticket, MOMENT)  # a quick answer: its record comes
        if self._host.may_repeat(delivery):
            record = await self._closing.caught_up(ticket)
        else:
            record, _ = await self._parking.get(ticket)
        while True:
            try:
                return await self._by(answer, record)
            except Erased as erased:
                self._host.cache.drop(erased.run)
                record = await self._closing.caught_up(ticket)
            except _Overtaken:
                record = await self._closing.caught_up(ticket)
            except (NotAsked, _Unrecorded):
                return Taken(Verdict("invalid", reason=_NOT_ASKED))

    async def _by(self, answer: _Answer, record: ParkedRecord | None) -> Taken:
        """What becomes of an answer, by a record that may be old. Raises NotYet, _Overtaken."""
        verdict = self._verdict(answer, record)
        if verdict.outcome != "accepted":
            # A copy may lag behind; only the leader's word is enough to say no.
            record = await self._closing.caught_up(answer.ticket)
            verdict = self._verdict(answer, record)
        winners: dict[str, Sent] = {}
        if record is not None and self._leaves_doubt(answer, verdict):
            contest = await self.contest(answer.ticket, answer.delivery, answer.delivery.seq)
            record, winners = contest.record, contest.winners
            verdict = self._verdict(answer, record)
        meant = verdict.question
        if verdict.outcome != "accepted":
            await self._must_not_be_coming(answer, record, verdict)
        if meant is not None and meant.id in winners:
            await self._close(answer, record, meant, winners[meant.id])
        if verdict.outcome != "accepted" or meant is None or record is None:
            return Taken(verdict)
        if meant.status != "open":
            return Taken(verdict)  # it has won before, and comes again
        if reason := self._admission.why_not(answer.ticket, meant, answer.sent):
            return Taken(Verdict("invalid", meant, reason))
        if not is_named(record, self._role, answer.given):
            await self._must_be_alone(answer, record)
        live, question = await self._close(answer, record, meant, answer.sent)
        return Taken(verdict, live, question)

    def _verdict(self, answer: _Answer, record: ParkedRecord | None) -> Verdict:
        sent = answer.sent
        return judge(record, self._role, sent.given, seq=sent.seq, at=sent.at)

    def _leaves_doubt(self, answer: _Answer, verdict: Verdict) -> bool:
        """Whether an answer stored before this one may change the verdict."""
        meant = verdict.question
        if verdict.outcome == "ambiguous":
            shown = min(question.since for question in verdict.candidates)
        elif verdict.outcome == "accepted" and meant is not None and meant.status == "open":
            shown = meant.since
        else:
            return False
        return self.arrivals.leave_doubt(answer.delivery, answer.token, shown)

    async def contest(self, ticket: str, delivery: Delivery, before: int | None = None) -> Contest:
        """Play the answers since the oldest open question was shown, all or those `before`.

        Raises:
            NotYet: one of them may be for a question that is just being shown.
        """
        record = await self._closing.caught_up(ticket) or ParkedRecord(ticket=ticket)
        contest = Contest(record, self._role, self._admission.on(ticket))
        opened = [q.since for q in record.questions if q.role == self._role and q.status == "open"]
        if not opened:
            return contest
        async with aclosing(self._sent.since(ticket, min(opened), before)) as answers:
            async for sent in answers:
                contest.add(sent)
                if len(contest.winners) == len(opened):
                    break
        unnamed = [
            sent.at
            for sent in contest.winners.values()
            if not is_named(record, self._role, sent.given)
        ]
        patient = delivery.num_delivered <= _PATIENCE
        if unnamed and patient and await self._showing.unrecorded(record, max(unnamed)):
            raise NotYet
        return contest

    def answered(self, question_id: str, winner: Sent) -> Answered:
        """The log's word that an answer has closed a question."""
        return self._admission.answered(question_id, winner)

    async def _close(
        self, answer: _Answer, record: ParkedRecord | None, meant: ParkedQuestion, winner: Sent
    ) -> tuple[LiveRun, Question]:
        """Have the log say that `winner` has closed a question. Raises _Overtaken."""
        live = await self._closing.live(meant.run, record)
        crash.point("before_answered")
        question = await self._closing.append(live, meant.id, self.answered(meant.id, winner))
        crash.point("after_answered")
        if question.status == OPEN:
            raise _Unrecorded
        if question.status != "answered" or question.seq != winner.seq:
            await self._closing.note(live, question)
            raise _Overtaken
        if winner.seq != answer.delivery.seq:
            await self._closing.note(live, question)
        return live, question

    async def _must_not_be_coming(
        self, answer: _Answer, record: ParkedRecord | None, verdict: Verdict
    ) -> None:
        """Raise NotYet where the question that is meant was published and has no record yet."""
        if verdict.outcome == "ambiguous" or answer.delivery.num_delivered > _PATIENCE:
            return
        known = self._known(record)
        named = answer.given.question_id
        coming = await self._showing.published_before(answer.ticket, answer.delivery.at)
        unknown = coming - known
        if named in unknown if known and named else unknown:
            raise NotYet

    async def _must_be_alone(self, answer: _Answer, record: ParkedRecord) -> None:
        """Raise NotYet where a question has no record yet that the answer may be for as well."""
        if answer.delivery.num_delivered > _PATIENCE:
            return
        unrecorded = await self._showing.unrecorded(record, answer.delivery.at)
        if unrecorded:
            newest, _ = await self._parking.get_newest(answer.ticket)
            raise NotYet if unrecorded - self._known(newest) else _Overtaken

    def _known(self, record: ParkedRecord | None) -> set[str]:
        return {q.id for q in record.questions if q.role == self._role} if record else set()
