"""A person is an actor too: receives questions as mail, and answers when it suits them.

The actor publishes a question, closes it with the first valid answer or at its deadline, and issues
a receipt for every answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from ...bus.errors import InvalidTicket
from ...bus.group_commit import GroupCommit
from ...bus.lookahead import Lookahead
from ...bus.mailbox import Delivery
from ...bus.requests import Requests
from ...bus.timers import Timers
from ...bus.token import decode as decode_token
from ...runtime import crash
from ...runtime.act_records import Passed
from ...runtime.ask_back_records import Replied
from ...runtime.delivery_policy import PoisonMessage
from ...runtime.entry import Asked, Withdrawn
from ...runtime.gate import UNWANTED, Gate
from ...runtime.host import Host
from ...runtime.ladder_records import Reached
from ...runtime.mail import mail_of
from ...runtime.opened_records import OPENED
from ...runtime.ports import Due
from ...runtime.run import LiveRun
from ...runtime.signature import HEADER
from ...runtime.state import Question, RunState
from ..kinds import human_address
from .act_decision import ActDecider
from .act_taking import Acts
from .answer import TAKEN, Given, Receipt, Refused, Verdict, understood
from .answer_resolution import AnswerResolver
from .answer_subject import Sender, split_subject
from .deadlines import Deadlines
from .duty import Duties
from .early_answers import EarlyAnswers, Found, lookahead_consumer
from .incoming import Early, Incoming, Taken
from .notices import Notices
from .open_questions import OpenQuestions
from .opening import Openings
from .pending_questions import NotYet, PendingQuestions, retry_delay
from .question_closing import QuestionCloser
from .question_publisher import QuestionPublisher
from .receipts import Receipts
from .replies import Replies
from .rung_publisher import RungPublisher
from .rungs import Rungs
from .tickets import Tickets
from .unserved import CardWatch

_WEIGHT = 1 / 16
"""How much one answer changes the share of unwanted answers."""
_FLOOD = 0.3
"""The share of unwanted answers above which those that wait are a flood, not a backlog."""


class Human:
    """One role of people, `developer` for instance."""

    def __init__(
        self,
        role: str,
        host: Host,
        *,
        tickets: Tickets,
        listed: OpenQuestions,
        requests: Requests,
        timers: Timers,
        duties: Duties,
        notices: Notices,
        watch: CardWatch,
    ) -> None:
        self.role = role
        self._host = host
        self._listed = listed
        self._requests = requests
        self._names = requests.names
        questions = GroupCommit(requests, self._names.stream("QUESTIONS"))
        self._publisher = QuestionPublisher(
            role,
            host,
            tickets,
            requests=requests,
            questions=questions,
            timers=timers,
            watch=watch,
        )
        self._closer = QuestionCloser(
            role, host, tickets, listed=listed, notices=notices, requests=requests
        )
        pending = PendingQuestions(role, requests, tickets, self._publisher.published)
        self._gate, self._acts_gate = Gate(UNWANTED), Gate()
        self._unwanted = 0.0
        """The share of the latest answers that closed no question."""
        self._receipts = Receipts(
            role,
            requests,
            tickets=tickets,
            questions=questions,
            observer=host.ports.observer,
        )
        self._early = EarlyAnswers(role, requests, tickets, self._publisher, self._take_early)
        self._lookahead = Lookahead(
            requests.nc,
            self._names.stream("ANSWERS"),
            lookahead_consumer(role),
            self._early.consider,
        )
        self.rungs = Rungs(timers, self._closer, duties)
        """The ladders of its questions."""
        self._acts = Acts(
            role,
            host,
            requests,
            receipts=self._receipts,
            pending=pending,
            closer=self._closer,
            decider=ActDecider(host, duties, self.rungs),
        )
        self._resolver = AnswerResolver(
            role,
            host,
            requests,
            publisher=self._publisher,
            closer=self._closer,
            pending=pending,
            acts=self._acts,
        )
        self._deadlines = Deadlines(host, timers, self._closer, self._resolver, self._acts)
        self._replies = Replies(self._receipts, self._closer, self._deadlines, self.rungs)
        self._openings = Openings(role, host, requests, closer=self._closer, listed=listed)
        self._again = RungPublisher(
            role,
            host,
            tickets,
            listed=listed,
            requests=requests,
            questions=questions,
            published=self._publisher.published,
            notices=notices,
            watch=watch,
        )

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return human_address(self.role)

    async def mail(self, delivery: Delivery) -> None:
        """Publish the question that a run asks."""
        self._resolver.arrivals.refresh()
        mail = await mail_of(self._host.log, delivery)
        record = mail.record
        live = await self._host.open(mail.run, mail.message)
        again = self._host.may_repeat(delivery)
        if again:
            await live.catch_up()  # a killed server may have forgotten that it was handled
        if isinstance(record, Asked):
            question = live.state.questions.get(record.id)
            if question is None:
                raise PoisonMessage(f"the log of run {live.id} has no question {record.id[:200]!r}")
            if question.status == "open":
                # A worker that was stopped for a while cannot tell that others have had its mail.
                again |= await self._publisher.show(live.state, question, delivery)
                await self.rungs.arm(live.state, question)
                crash.point("before_ack")
                self._listed.list_later(delivery, live, question.id, again=again)
                return
            if again:
                await self._listed.remove(live, question)
        elif isinstance(record, Reached | Passed):
            await self._again.show(live, record, again=again)
        elif isinstance(record, Replied):
            await self._replies.tell(live, record)
        elif isinstance(record, Withdrawn):
            slot = live.state.slot(record.frame, record.key)
            question = live.state.questions.get(slot.ref) if slot is not None else None
            if question is not None:
                await self._closer.sync(live, question)
        crash.point("before_ack")
        await delivery.ack()

    async def answer(self, delivery: Delivery) -> None:
        """Take an answer: close the question it is for, and issue its receipt."""
        token, sender = split_subject(self._names.own(delivery.subject))
        self._resolver.arrivals.note(delivery, token)  # before it waits: in the order of arrival
        flood = self._unwanted > _FLOOD
        self._lookahead.note(delivery, flood=flood)
        async with self._gate.admit(delivery, flood=flood):
            if not (self._early.knows(delivery) and await self._early.has_taken(delivery)):
                try:
                    await self._answer(token, sender, delivery)
                except NotYet:
                    await delivery.nak(retry_delay(delivery.num_delivered))
                    return
        await delivery.ack()
        self._resolver.arrivals.finished(delivery, token)

    async def look_ahead(self) -> None:
        """Take answers to open questions ahead of others, while many wait, until cancelled."""
        try:
            await self._lookahead.keep()
        finally:
            await self._early.stop()

    async def _answer(self, token: str, sender: Sender, delivery: Delivery) -> None:
        """Take an answer in its turn. Raises NotYet."""
        signature = delivery.headers.get(HEADER, "")
        ticket, given = _parsed(token, delivery.data, sender, signature)
        if isinstance(given, Refused):
            taken, by = Taken(Verdict("invalid", reason=given.reason)), sender.responder
        else:
            answer = Incoming(ticket, token, given, delivery)
            taken, by = await self._resolver.resolve(answer, delivery), given.by
        self._unwanted += ((taken.verdict.outcome not in TAKEN) - self._unwanted) * _WEIGHT
        receipt = self._receipts.receipt(ticket, taken.verdict, by, delivery.seq)
        await self._finish(taken, receipt, token)

    async def _take_early(self, found: Found) -> bool:
        """Take an answer ahead of its turn; False: it waits for its turn."""
        token, sender = split_subject(self._names.own(found.subject))
        given = understood(found.data, found.ticket, sender, found.signature)
        if isinstance(given, Refused):
            return False
        answer = Incoming(found.ticket, token, given, Early(found.seq, found.at))
        taken = await self._resolver.resolve_early(answer, found.record)
        if taken is None:
            return False
        receipt = self._receipts.receipt(found.ticket, taken.verdict, given.by, found.seq)
        await self._finish(taken, receipt, token)
        return True

    async def _issue(self, receipt: Awaitable[Receipt], token: str) -> None:
        await self._receipts.issue(await receipt, token)

    async def _finish(self, taken: Taken, receipt: Awaitable[Receipt], token: str) -> None:
        """Issue the receipt of an answer, and update the record of the question it closed."""
        issuing = asyncio.ensure_future(self._issue(receipt, token))
        try:
            if taken.live is not None and taken.question is not None:
                await self._closer.sync(taken.live, taken.question)
                crash.point("after_record_closed")
        finally:
            await issuing

    async def act(self, delivery: Delivery) -> None:
        """Record what somebody says to a question besides answering it, or that they look at it."""
        is_look = self._names.own(delivery.subject).split(".")[1] == OPENED
        async with self._acts_gate.admit(delivery):
            await (self._openings if is_look else self._acts).take(delivery)

    async def arm(self, state: RunState, question: Question) -> None:
        """Arm the deadline and the rungs of a question. Repeatable."""
        await self._deadlines.arm_again(state, question)
        await self.rungs.arm(state, question)

    async def due(self, due: Due, delivery: Delivery) -> None:
        """Close a question whose deadline has passed, unless it is closed."""
        await self._deadlines.due(due, delivery)

    async def rung(self, due: Due, delivery: Delivery) -> None:
        """Record that a rung of a question's ladder is reached, unless the question is closed."""
        await self.rungs.due(due, delivery)

    async def tidy(self, live: LiveRun) -> None:
        """Close the questions in the records that the end of a run has cancelled."""
        for question in live.state.questions.values():
            if question.role == self.role and question.status == "cancelled":
                await self._closer.sync(live, question)


def _parsed(token: str, data: bytes, sender: Sender, signature: str) -> tuple[str, Given | Refused]:
    """The ticket of an answer, and what it says."""
    try:
        ticket = decode_token(token)
    except InvalidTicket as error:
        return token[:200], Refused(str(error))
    return ticket, understood(data, ticket, sender, signature)
