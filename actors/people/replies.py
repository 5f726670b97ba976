"""Tells people the replies to what they asked back, and puts the question's clock right again."""

from __future__ import annotations

import msgspec

from ...bus.token import encode
from ...runtime import crash
from ...runtime.ask_back_records import ASK_BACK, Replied
from ...runtime.ask_backs import AskBack, found
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question
from .answer import Receipt, Verdict
from .deadlines import Deadlines
from .parked_question import parked_question
from .question_closing import QuestionCloser
from .receipts import Receipts
from .rungs import Rungs


class Replies:
    """Handles the replies that the log has for one role."""

    def __init__(
        self, receipts: Receipts, closer: QuestionCloser, deadlines: Deadlines, rungs: Rungs
    ) -> None:
        self._receipts = receipts
        self._closer = closer
        self._deadlines = deadlines
        self._rungs = rungs

    async def tell(self, live: LiveRun, record: Replied) -> None:
        """Issue the receipt of a reply, and show it. Repeatable."""
        question = live.state.questions.get(record.id)
        asked = found(live.state.asked_back.get(record.id, ()), record.seq)
        if question is None or asked is None or asked.reply is None:
            return  # the log contradicts it
        if question.stops and question.status == OPEN:
            await self._deadlines.arm_again(live.state, question)
            await self._rungs.arm(live.state, question)
            crash.point("after_clock_started")
        receipt = await self._receipt(live, question, asked)
        await self._receipts.issue(receipt, encode(live.state.ticket))
        crash.point("after_reply_told")
        await self._closer.sync(live, question)

    async def _receipt(self, live: LiveRun, question: Question, asked: AskBack) -> Receipt:
        reply = asked.reply
        if reply is None:
            raise ValueError("it has no reply")
        shown = parked_question(live.state, question)
        outcome = Verdict("not_replied" if reply.failed else "replied", shown)
        receipt = await self._receipts.receipt(live.state.ticket, outcome, reply.by, asked.seq)
        receipt = msgspec.structs.replace(receipt, act=ASK_BACK)
        if question.confidential:
            return msgspec.structs.replace(receipt, reason="it is encrypted: see the question")
        if reply.failed:
            return msgspec.structs.replace(receipt, reason=reply.text)
        return msgspec.structs.replace(receipt, reply=reply.text)
