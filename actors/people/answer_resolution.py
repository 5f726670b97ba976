"""Which question an answer closes: the first valid one that was stored while it was open wins."""

from __future__ import annotations

from ...bus.errors import Erased
from ...bus.mailbox import Delivery
from ...bus.requests import Requests
from ...runtime import crash
from ...runtime.entry import Answered
from ...runtime.host import Host
from ...runtime.index import ERASED
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question
from .act_taking import Acts
from .answer import TAKEN, Sent, Verdict, is_named, judge, was_open_when_stored
from .answer_admission import AnswerAdmission, voted
from .arrivals import Arrivals
from .asked_of import record_for
from .confidential import erased
from .contest import Contest
from .earlier_answers import EarlierAnswers
from .incoming import Early, Incoming, Taken
from .parked_question import ParkedQuestion
from .pending_questions import RETRY_DELAY, NotYet, PendingQuestions
from .question_closing import NotAsked, Overtaken, QuestionCloser, Unrecorded
from .question_publisher import QuestionPublisher
from .tickets import ParkedRecord
from .vote_verdict import already_voted, has_voted
from .votes import Votes

_NOT_ASKED = "the run's log has another question than the record of this ticket: look at the run"
_UNFIT = "the question did not accept this answer, and its run has been erased since"
_OF_OPEN = frozenset({"accepted", "too_late"})
"""Outcomes of answers to open questions; what was stored earlier may have decided them in time."""


class AnswerResolver:
    """Resolves the answers to one role."""

    def __init__(
        self,
        role: str,
        host: Host,
        requests: Requests,
        *,
        publisher: QuestionPublisher,
        closer: QuestionCloser,
        pending: PendingQuestions,
        acts: Acts,
    ) -> None:
        self._role = role
        self._host = host
        self._tickets = closer.tickets
        self._publisher = publisher
        self._closer = closer
        self._pending = pending
        self._acts = acts
        self._admission = AnswerAdmission(role, host, requests.names)
        self._votes = Votes(role, closer, self._admission, pending)
        self._earlier = EarlierAnswers(
            role,
            host,
            requests,
            closer=closer,
            votes=self._votes,
            admission=self._admission,
        )
        self.arrivals = Arrivals(role, host, requests)

    async def resolve(self, answer: Incoming, delivery: Delivery) -> Taken:
        """Close the question that an answer is for, with the first answer that is valid for it.

        Raises:
            NotYet: it may be for a question that is being published.
        """
        if self._publisher.is_recording(answer.ticket):
            await self._publisher.wait_recorded(answer.ticket, RETRY_DELAY)
        if self._host.may_repeat(delivery):
            record = await self._closer.caught_up(answer.ticket)
        else:
            record, _ = await self._tickets.get(answer.ticket)
        while True:
            try:
                return await self._resolve_with(answer, record)
            except Erased as error:
                self._host.cache.drop(error.run)
                record = await self._closer.caught_up(answer.ticket)
            except Overtaken:
                record = await self._closer.caught_up(answer.ticket)
            except (NotAsked, Unrecorded):
                return Taken(Verdict("invalid", reason=_NOT_ASKED))

    async def resolve_early(self, answer: Incoming, record: ParkedRecord) -> Taken | None:
        """Take an answer ahead of its turn if it closes a question; None: it waits for its turn.

        All answers that were stored before it on its ticket are judged first, so the log is the
        same as if each had been handled in its turn. Nothing is refused here.
        """
        if self._verdict(answer, record_for(record, self._role)).outcome not in TAKEN:
            return None
        try:
            taken = await self._resolve_with(answer, record)
        except (Erased, NotAsked, NotYet, Overtaken, Unrecorded):
            return None
        return taken if taken.live is not None else None

    async def _resolve_with(self, answer: Incoming, seen: ParkedRecord | None) -> Taken:
        """What becomes of an answer, by a record that may be old. Raises NotYet, Overtaken."""
        record = record_for(seen, self._role)
        verdict = self._verdict(answer, record)
        if verdict.outcome not in TAKEN:
            # A copy may lag behind; a refusal needs the leader's newest record.
            record = record_for(await self._closer.caught_up(answer.ticket), self._role)
            verdict = self._verdict(answer, record)
        contest = None
        if record is not None and self._may_depend_on_earlier(answer, verdict):
            contest = await self.contest(answer.ticket, answer.place, answer.place.seq)
            record = record_for(contest.record, self._role)
            verdict = self._verdict(answer, record)
        parked = verdict.question
        if verdict.outcome == "too_late" and record is not None and parked is not None:
            await self._check_not_put_off(record, parked)
        if verdict.outcome not in TAKEN:
            await self._pending.check_not_pending(answer, record, verdict)
        if contest is not None and parked is not None and parked.id in contest.closed:
            await self._record_earlier(answer, contest, parked)
        if verdict.outcome not in TAKEN or parked is None or record is None:
            return Taken(await self._as_of_its_place(answer, verdict))
        if parked.quorum is not None:
            if contest is None or parked.status != OPEN or verdict.outcome == "counted":
                return await self._votes.counted_before(answer.place.seq, record, parked)
            return await self._votes.take(answer, record, parked, contest)
        if parked.status != "open":
            return Taken(verdict)  # it won before, and is delivered again
        return await self._win(answer, record, verdict, parked)

    async def _check_not_put_off(self, record: ParkedRecord, parked: ParkedQuestion) -> None:
        """Raise Overtaken if what was asked back in time has put the deadline off."""
        if parked.status != OPEN:
            return
        live = await self._closer.newest(parked.run, record)
        if await self._acts.was_put_off(live, parked):
            raise Overtaken

    async def _record_earlier(
        self, answer: Incoming, contest: Contest, parked: ParkedQuestion
    ) -> None:
        """Record what has closed a question before an answer was stored. Raises Overtaken."""
        if parked.id in contest.winners:
            await self._close(answer, contest.record, parked, contest.winners[parked.id])
        else:
            live, question = await self._votes.append(contest, parked, contest.votes[parked.id])
            await self._closer.sync(live, question)

    async def _win(
        self, answer: Incoming, record: ParkedRecord, verdict: Verdict, parked: ParkedQuestion
    ) -> Taken:
        """Close the question that an answer is for, if the question accepts the answer."""
        readable = await self._tickets.unsealed(parked) if parked.sealed else parked
        if reason := self._admission.why_not(answer.ticket, readable, answer.sent):
            return Taken(Verdict("invalid", parked, reason))
        if not is_named(record, self._role, answer.given):
            await self._pending.check_unambiguous(answer, record)
        live, question = await self._close(answer, record, parked, answer.sent)
        return Taken(verdict, live, question)

    def _verdict(self, answer: Incoming, record: ParkedRecord | None) -> Verdict:
        sent = answer.sent
        return judge(record, self._role, sent.given, seq=sent.seq, at=sent.at)

    async def _as_of_its_place(self, answer: Incoming, verdict: Verdict) -> Verdict:
        """The verdict on an answer that may be judged a second time, after its question closed.

        An answer that its question did not accept was `invalid` at first, and stays so.
        """
        parked = verdict.question
        if parked is None or not was_open_when_stored(verdict, answer.sent):
            return verdict
        try:
            readable = await self._tickets.unsealed(parked) if parked.sealed else parked
        except Erased:
            readable = erased(parked)
        reason = self._admission.why_not(answer.ticket, readable, answer.sent)
        if not reason and has_voted(parked, answer.sent):
            return already_voted(parked, voted(parked, answer.sent, self._role))
        if not reason and readable.question == ERASED and verdict.outcome == "already_answered":
            reason = _UNFIT  # a valid answer would have won instead of the later one
        return Verdict("invalid", parked, reason) if reason else verdict

    def _may_depend_on_earlier(self, answer: Incoming, verdict: Verdict) -> bool:
        """Whether an answer stored before this one may change the verdict."""
        parked = verdict.question
        if verdict.outcome == "ambiguous":
            shown = min(question.since for question in verdict.candidates)
        elif verdict.outcome in _OF_OPEN and parked is not None and parked.status == OPEN:
            shown = parked.since
        else:
            return False
        if isinstance(answer.place, Early):
            return True
        asked = verdict.candidates or (parked,)
        if any(each is not None and (each.also or each.asked_of or each.quorum) for each in asked):
            return True  # not all who decide it answer here, or one answer does not decide it
        return self.arrivals.may_have_earlier(answer.place, answer.token, shown)

    async def contest(
        self, ticket: str, place: Delivery | Early, before: int | None = None
    ) -> Contest:
        """Judge the answers since the oldest open question was shown, all or those `before`.

        The answers of all roles that may decide, in the order of their stream.

        Raises:
            NotYet: one of them may be for a question that is being published.
        """
        contest = await self._earlier.contest(ticket, before)
        await self._pending.check_contest(contest, place)
        return contest

    def answered(self, question_id: str, winner: Sent) -> Answered:
        """The record for the log that an answer has closed a question."""
        return self._admission.answered(question_id, winner)

    async def _close(
        self, answer: Incoming, record: ParkedRecord | None, parked: ParkedQuestion, winner: Sent
    ) -> tuple[LiveRun, Question]:
        """Record in the log that `winner` has closed a question. Raises Overtaken."""
        crash.point("before_answered")
        end = self.answered(parked.id, winner)
        live, question = await self._closer.close(parked, record, end)
        crash.point("after_answered")
        if question.status == OPEN:
            raise Unrecorded
        if question.status != "answered" or question.seq != winner.seq:
            await self._closer.sync(live, question)
            raise Overtaken
        if winner.seq != answer.place.seq:
            await self._closer.sync(live, question)
        return live, question
