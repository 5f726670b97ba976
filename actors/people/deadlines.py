"""The deadlines of questions: what was stored in time counts, however late it is read."""

from __future__ import annotations

import msgspec

from ...bus.mailbox import Delivery
from ...bus.timers import Timers
from ...runtime import crash
from ...runtime.due_handler import LAGS
from ...runtime.entry import Expired
from ...runtime.host import Host
from ...runtime.ports import Due
from ...runtime.question_clock import TOLERANCE
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question, RunState
from .act_taking import Acts
from .answer_resolution import AnswerResolver
from .pending_questions import NotYet, retry_delay
from .question_closing import QuestionCloser
from .tickets import question_in


class Deadlines:
    """Expires the questions to one role."""

    def __init__(
        self,
        host: Host,
        timers: Timers,
        closer: QuestionCloser,
        resolver: AnswerResolver,
        acts: Acts,
    ) -> None:
        self._host = host
        self._acts = acts
        self._timers = timers
        self._tickets = closer.tickets
        self._closer = closer
        self._resolver = resolver

    async def due(self, due: Due, delivery: Delivery) -> None:
        """Close a question whose deadline has passed, unless it is closed already."""
        early = due.at - delivery.at
        if early > 0:
            # The server's clock was changed; the deadline stays.
            await delivery.nak(early)
            return
        shown = question_in((await self._tickets.get(due.ticket))[0], due.question)
        if shown is None:
            # Another worker may have published it since this one read the record.
            shown = question_in((await self._tickets.get_newest(due.ticket))[0], due.question)
        if shown is not None and shown.status != "open":
            await delivery.ack()  # closed long ago: most deadlines are
            return
        # A record may have dropped the question, or been overwritten.
        live = await self._host.open(due.run)
        if due.question not in live.state.questions:
            await live.catch_up()
        question = live.state.questions.get(due.question)
        if question is None and delivery.num_delivered < LAGS:
            await delivery.nak(1.0)  # a follower that lags behind its leader
            return
        if question is None:
            await delivery.ack()  # its log was purged
            return
        if question.status == "open":
            try:
                await self._expire(live, due, delivery)
            except NotYet:
                await delivery.nak(retry_delay(delivery.num_delivered))
                return
            question = live.state.questions[due.question]
        if question.status == "open" and question.stops:  # its clock is or was stopped
            await self.arm_again(live.state, question)
            await delivery.ack()
            return
        await self._closer.sync(live, live.state.questions[due.question])
        await delivery.ack()

    async def arm_again(self, state: RunState, question: Question) -> None:
        """Arm the deadline of a question under a name of its own. Repeatable.

        For those whose clock is or was stopped, and those whose timer may be missing.
        """
        due = Due(
            kind="question",
            run=state.id,
            at=question.deadline,
            role=question.role,
            ticket=state.ticket,
            question=question.id,
        )
        name = f"{question.id}.until={round(question.deadline * 1e3)}"  # a new one for each time
        await self._timers.arm(name, question.deadline, msgspec.json.encode(due))

    async def _expire(self, live: LiveRun, due: Due, delivery: Delivery) -> None:
        question = live.state.questions[due.question]
        at = due.at if question.stops and not due.early else 0.0
        if 0 < at < question.deadline - TOLERANCE:
            return  # its clock is or was stopped
        crash.point("before_expired")
        # An answer may have come in time but not been read, because no worker was running.
        await self._closer.note_roles(due.ticket, live, due.question)
        await self._record_in_time(live, due, delivery)
        if await self._was_put_off(live, due.question, at):
            return
        # The log may not accept an answer, and the votes may be too few.
        await self._closer.append(live, due.question, Expired(id=due.question, due=at))
        crash.point("after_expired")

    async def _was_put_off(self, live: LiveRun, question: str, at: float) -> bool:
        """Record what was said in time besides answers; whether that has stopped the clock."""
        if live.state.questions[question].status != OPEN:
            return False
        await self._acts.record_in_time(live, question)
        return 0 < at < live.state.questions[question].deadline - TOLERANCE

    async def _record_in_time(self, live: LiveRun, due: Due, delivery: Delivery) -> None:
        """Record the first valid answer, or the votes, that were stored while it was open."""
        while True:
            contest = await self._resolver.contest(due.ticket, delivery)
            winner, votes = contest.winners.get(due.question), contest.votes.get(due.question)
            if winner is not None:
                in_time = self._resolver.answered(due.question, winner)
                await self._closer.append(live, due.question, in_time)
            if not votes:
                return
            # The log may have some of them by now: only what was judged tells whether it moves on.
            known = len(contest.polls[due.question].votes) - len(votes)
            question = await self._closer.append_votes(live, due.question, votes)
            crash.point("after_votes_in_time")
            if question.status != OPEN or len(question.votes) == known:
                return
