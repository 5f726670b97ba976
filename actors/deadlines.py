"""The deadlines of questions: what was stored in time wins over them, however late it is read."""

from __future__ import annotations

from ..bus.mailbox import Delivery
from ..runtime import crash
from ..runtime.entry import Answered, Expired
from ..runtime.host import LAGS, Host
from ..runtime.run import LiveRun
from ..runtime.services import Due
from ..runtime.state import OPEN
from .closing import Closing
from .parked import ParkedQuestion, ParkedRecord
from .taking import MOMENT, NotYet, Taking


class Deadlines:
    """Expires the questions to one role."""

    def __init__(self, host: Host, closing: Closing, taking: Taking) -> None:
        self._host = host
        self._parking = closing.parking
        self._closing = closing
        self._taking = taking

    async def due(self, due: Due, delivery: Delivery) -> None:
        """Close a question whose deadline has passed, unless it is closed."""
        early = due.at - delivery.at
        if early > 0:
            # The server's clock was moved; the deadline stands.
            await delivery.nak(early)
            return
        shown = _shown((await self._parking.get(due.ticket))[0], due.question)
        if shown is None:
            # Another worker may have shown it after this one last looked.
            shown = _shown((await self._parking.get_newest(due.ticket))[0], due.question)
        if shown is not None and shown.status != "open":
            await delivery.ack()  # closed long ago: most deadlines are
            return
        # A record may have forgotten the question, or lost it to whoever wrote over it.
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
                await delivery.nak(MOMENT)
                return
        await self._closing.note(live, live.state.questions[due.question])
        await delivery.ack()

    async def _expire(self, live: LiveRun, due: Due, delivery: Delivery) -> None:
        crash.point("before_expired")
        # An answer may have come in time and still wait to be read, for want of a worker.
        in_time = await self._answer_in_time(due, delivery)
        end = Expired(id=due.question)
        question = await self._closing.append(live, due.question, in_time or end)
        if question.status == OPEN:  # the log does not take that answer
            await self._closing.append(live, due.question, end)
        crash.point("after_expired")

    async def _answer_in_time(self, due: Due, delivery: Delivery) -> Answered | None:
        """The first valid answer that was stored while the question was open, if there is one."""
        contest = await self._taking.contest(due.ticket, delivery)
        winner = contest.winners.get(due.question)
        return self._taking.answered(due.question, winner) if winner else None


def _shown(record: ParkedRecord | None, question: str) -> ParkedQuestion | None:
    """What the record of a ticket says of a question."""
    return next((q for q in record.questions if q.id == question), None) if record else None
