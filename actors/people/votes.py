"""Records votes in the logs of their runs, in the order of the stream of answers.

The worker that handles a vote has judged all that were stored before it, so it appends those that
are missing together with its own. Even if a worker dies, the votes in a log are the first ones of
the stream: the next worker appends what is missing, and the fence refuses what is there already.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime import crash, tally
from ...runtime.entry import Voted
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question
from .answer import Verdict, is_named
from .answer_admission import AnswerAdmission, voted
from .contest import Contest
from .incoming import Incoming, Taken
from .parked_question import ParkedQuestion
from .pending_questions import PendingQuestions
from .question_closing import NotAsked, Overtaken, QuestionCloser, Unrecorded
from .tickets import ParkedRecord
from .vote_verdict import already_voted, counted


class Votes:
    """The votes on the questions to one role."""

    def __init__(
        self,
        role: str,
        closer: QuestionCloser,
        admission: AnswerAdmission,
        pending: PendingQuestions,
    ) -> None:
        self._role = role
        self._closer = closer
        self._admission = admission
        self._pending = pending

    async def polls(self, record: ParkedRecord, roles: Sequence[str]) -> dict[str, Question]:
        """The open questions of some roles that several people decide, as their logs have them."""
        polls: dict[str, Question] = {}
        for each in record.questions:
            asked = each.status == OPEN and not set(roles).isdisjoint(each.roles)
            if each.quorum is not None and asked:
                live = await self._closer.live(each.run, record)
                if each.id in live.state.questions:
                    polls[each.id] = live.state.questions[each.id]
        return polls

    async def take(
        self,
        answer: Incoming,
        record: ParkedRecord,
        parked: ParkedQuestion,
        contest: Contest,
    ) -> Taken:
        """Count an answer as a vote.

        Raises:
            NotYet: it may be for a question that is being published.
            Overtaken: the question is closed, or others have recorded votes.
            Unrecorded: the log does not accept it.
            NotAsked: the log has no such question.
        """
        poll, seq = contest.polls.get(parked.id), answer.place.seq
        if poll is None:
            raise NotAsked(parked.id)
        if any(each.seq == seq for each in poll.votes):
            # Another worker has recorded it meanwhile, ahead of a later vote.
            return await self.counted_before(seq, record, parked)
        if poll.status != OPEN:
            raise Overtaken  # the record is behind its log
        readable = await self._closer.tickets.unsealed(parked) if parked.sealed else parked
        if reason := self._admission.why_not(answer.ticket, readable, answer.sent):
            return Taken(Verdict("invalid", parked, reason))
        vote = voted(readable, answer.sent, self._role)
        if tally.voted_before(poll.votes, vote) is not None:
            return Taken(already_voted(parked, vote))
        if reason := tally.why_no_vote(poll, vote):
            return Taken(Verdict("invalid", parked, reason))
        if not is_named(record, self._role, answer.given):
            await self._pending.check_unambiguous(answer, record)
        missing = contest.votes.get(parked.id, [])
        live, question = await self.append(contest, parked, [*missing, vote])
        return Taken(counted(parked, question, vote), live, question)

    async def append(
        self, contest: Contest, parked: ParkedQuestion, votes: Sequence[Voted]
    ) -> tuple[LiveRun, Question]:
        """Record votes in the log.

        Raises:
            Overtaken: another worker has recorded some of them, or the question is closed.
            Unrecorded: the log does not accept them.
            NotAsked: the log has no such question.
        """
        poll = contest.polls[parked.id]
        known = len(poll.votes) - len(contest.votes.get(parked.id, []))
        live = await self._closer.live(parked.run, contest.record)
        crash.point("before_voted")
        question = await self._closer.append_votes(live, parked.id, votes)
        crash.point("after_voted")
        if any(each.seq == votes[-1].seq for each in question.votes):
            return live, question
        if question.status == OPEN and len(question.votes) == known:
            raise Unrecorded
        await self._closer.sync(live, question)
        raise Overtaken

    async def counted_before(self, seq: int, record: ParkedRecord, parked: ParkedQuestion) -> Taken:
        """What became of a vote that the log has already, and that is delivered again.

        Raises:
            Unrecorded: the log does not have it.
        """
        live = await self._closer.newest(parked.run, record)
        question = live.state.questions.get(parked.id)
        votes = question.votes if question is not None else ()
        vote = next((each for each in votes if each.seq == seq), None)
        if question is None or vote is None:
            raise Unrecorded
        return Taken(counted(parked, question, vote), live, question)
