"""Records votes in the logs of their runs, in the order of the stream of answers.

The worker that handles a vote has judged all that were stored before it, so it appends those that
are missing together with its own. Whoever dies, the votes in a log are the first ones of the
stream: the next worker appends what is missing, and the fence refuses what is there already.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime import crash
from ...runtime.entry import Voted
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question
from .answer import Verdict
from .contest import Contest
from .parked_question import ParkedQuestion
from .question_closing import Overtaken, QuestionCloser, Unrecorded
from .tickets import ParkedRecord
from .vote_verdict import counted


class Votes:
    """The votes on the questions to one role."""

    def __init__(self, closer: QuestionCloser) -> None:
        self._closer = closer

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

    async def append(
        self, contest: Contest, meant: ParkedQuestion, votes: Sequence[Voted]
    ) -> tuple[LiveRun, Question]:
        """Record votes in the log.

        Raises:
            Overtaken: another worker has recorded some of them, or the question is closed.
            Unrecorded: the log does not accept them.
            NotAsked: the log has no such question.
        """
        poll = contest.polls[meant.id]
        known = len(poll.votes) - len(contest.votes.get(meant.id, []))
        live = await self._closer.live(meant.run, contest.record)
        crash.point("before_voted")
        question = await self._closer.append_votes(live, meant.id, votes)
        crash.point("after_voted")
        if any(each.seq == votes[-1].seq for each in question.votes):
            return live, question
        if question.status == OPEN and len(question.votes) == known:
            raise Unrecorded
        await self._closer.sync(live, question)
        raise Overtaken

    async def counted_before(
        self, seq: int, record: ParkedRecord, meant: ParkedQuestion
    ) -> tuple[Verdict, LiveRun, Question]:
        """What became of a vote that the log has already, and that is delivered again.

        Raises:
            Unrecorded: the log does not have it.
        """
        live = await self._closer.newest(meant.run, record)
        question = live.state.questions.get(meant.id)
        votes = question.votes if question is not None else ()
        vote = next((each for each in votes if each.seq == seq), None)
        if question is None or vote is None:
            raise Unrecorded
        return counted(meant, question, vote), live, question
