"""A person is an actor too: gets questions as mail, and sends answers when it suits them.

The actor shows a question, has it closed by the first valid answer or by its deadline, and issues
a receipt for every answer.
"""

from __future__ import annotations

import asyncio

import msgspec

from ..bus.errors import InvalidTicket
from ..bus.mailbox import Delivery
from ..bus.requests import Requests
from ..bus.timers import Timers
from ..bus.token import decode as decode_token
from ..runtime import clock, crash
from ..runtime.entry import Asked, Withdrawn
from ..runtime.guard import Hopeless
from ..runtime.host import Host
from ..runtime.mail import mail_of
from ..runtime.run import LiveRun
from ..runtime.services import Due
from ..runtime.signature import HEADER
from ..runtime.times import iso
from .answer import Candidate, Receipt, Refused, Verdict, understood
from .closing import Closing
from .deadlines import Deadlines
from .kinds import human_address
from .open_questions import OpenQuestions
from .parked import ParkedQuestion, Parking
from .ready import answer_with
from .showing import Showing
from .taking import MOMENT, NotYet, Taken, Taking


class Human:
    """One role of people, `developer` for instance."""

    def __init__(
        self,
        role: str,
        host: Host,
        *,
        parking: Parking,
        listed: OpenQuestions,
        requests: Requests,
        timers: Timers,
    ) -> None:
        self.role = role
        self._host = host
        self._listed = listed
        self._requests = requests
        self._names = requests.names
        self._showing = Showing(role, host, parking, requests, timers)
        self._closing = Closing(role, host, parking, listed)
        self._taking = Taking(role, host, requests, self._showing, self._closing)
        self._deadlines = Deadlines(host, self._closing, self._taking)

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return human_address(self.role)

    async def mail(self, delivery: Delivery) -> None:
        """Show the question that a run asks."""
        self._taking.arrivals.look()
        mail = await mail_of(self._host.log, delivery)
        record = mail.record
        live = await self._host.open(mail.run, mail.message)
        again = self._host.may_repeat(delivery)
        if again:
            await live.catch_up()  # a killed server forgets what was answered since
        if isinstance(record, Asked):
            question = live.state.questions.get(record.id)
            if question is None:
                raise Hopeless(f"the log of run {live.id} holds no question {record.id[:200]!r}")
            if question.status == "open":
                # A worker that was stopped for a while has its mail as if nobody else had.
                again |= await self._showing.show(live.state, question, delivery)
                crash.point("before_ack")
                self._listed.list_later(delivery, live, question.id, again=again)
                return
            if again:
                await self._listed.remove(live, question)
        elif isinstance(record, Withdrawn):
            slot = live.state.slot(record.frame, record.key)
            question = live.state.questions.get(slot.ref) if slot is not None else None
            if question is not None:
                await self._closing.note(live, question)
        crash.point("before_ack")
        await delivery.ack()

    async def answer(self, delivery: Delivery) -> None:
        """Take an answer: close the question it is for, and say what became of it."""
        token, _, responder = self._names.own(delivery.subject).split(".", 2)[2].partition(".")
        self._taking.arrivals.note(delivery, token)
        try:
            taken, ticket, by = await self._taken(token, responder, delivery)
        except NotYet:
            await delivery.nak(MOMENT)
            return
        receipt = self._receipt(ticket, taken.verdict, by, delivery.seq)
        issuing = asyncio.ensure_future(self._issue(receipt, token))
        try:
            if taken.live is not None and taken.question is not None:
                await self._closing.note(taken.live, taken.question)
                crash.point("after_record_closed")
        finally:
            await issuing
        await delivery.ack()
        self._taking.arrivals.finished(delivery, token)

    async def _taken(
        self, token: str, responder: str, delivery: Delivery
    ) -> tuple[Taken, str, str]:
        """What became of an answer, its ticket, and who gave it. Raises NotYet."""
        try:
            ticket = decode_token(token)
        except InvalidTicket as error:
            return Taken(Verdict("invalid", reason=str(error))), token[:200], responder
        signature = delivery.headers.get(HEADER, "")
        given = understood(delivery.data, ticket, responder, signature)
        if isinstance(given, Refused):
            return Taken(Verdict("invalid", reason=given.reason)), ticket, responder
        return await self._taking.take(ticket, token, given, delivery), ticket, given.by

    def _receipt(self, ticket: str, verdict: Verdict, by: str, seq: int) -> Receipt:
        question = verdict.question
        won = question.by if question is not None and verdict.outcome == "already_answered" else by
        return Receipt(
            outcome=verdict.outcome,
            ticket=ticket,
            question=question.id if question is not None else None,
            reason=verdict.reason or None,
            by=won or None,
            at=iso(clock.now()),
            seq=seq,
            candidates=tuple(self._candidate(ticket, each) for each in verdict.candidates),
        )

    def _candidate(self, ticket: str, question: ParkedQuestion) -> Candidate:
        return Candidate(
            id=question.id,
            question=question.question.partition("\n")[0],
            run=question.run,
            deadline=question.deadline,
            answer_with=answer_with(self._names, ticket, question),
        )

    async def _issue(self, receipt: Receipt, token: str) -> None:
        """Publish a receipt; return when it is stored, for the answer is acknowledged next."""
        subject = self._names.subject(f"{self.role}.receipt.{token}")
        await self._requests.store(subject, msgspec.json.encode(receipt))
        crash.point("after_receipt")

    async def due(self, due: Due, delivery: Delivery) -> None:
        """Close a question whose deadline has passed, unless it is closed."""
        await self._deadlines.due(due, delivery)

    async def tidy(self, live: LiveRun) -> None:
        """Close in the records what the end of a run has cancelled."""
        for question in live.state.questions.values():
            if question.role == self.role and question.status == "cancelled":
                await self._closing.note(live, question)
