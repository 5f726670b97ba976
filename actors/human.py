"""A person is an actor too: gets questions as mail, and sends answers when it suits them.

The actor shows a question, closes it by who is first to append to the run's log, and issues a
receipt for every answer.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import NamedTuple

import msgspec

from ..bus.errors import InvalidTicket
from ..bus.log import LogMessage, parse
from ..bus.mailbox import Delivery
from ..bus.requests import Requests
from ..bus.timers import Timers
from ..bus.token import decode as decode_token
from ..bus.token import encode as encode_token
from ..runtime import crash
from ..runtime.entry import Answered, Asked, Expired, Withdrawn, decode
from ..runtime.errors import Fenced
from ..runtime.host import LAGS, Host
from ..runtime.run import LiveRun
from ..runtime.services import Due
from ..runtime.state import FORM, Question
from ..runtime.times import iso
from .answer import Given, Receipt, Refused, Verdict, judge, lost, read, unfit
from .kinds import human_address
from .open_questions import OpenQuestions
from .parked import ParkedQuestion, ParkedRecord, Parking, parked_question, with_question
from .showing import Showing

_EARLY = 0.5
"""Seconds by which a deadline may fire early before it is sent back."""
_MOMENT = 0.2
"""Seconds after which an answer is looked at again whose question is just being shown."""
_PATIENCE = 300
"""Deliveries of such an answer, about a minute."""
_ANSWERS = 200
"""Answers to one ticket that are looked at when a deadline falls."""


class _Stored(NamedTuple):
    """An answer in the stream."""

    seq: int
    at: float
    responder: str
    data: bytes


class _Taken(NamedTuple):
    """What became of an answer, and the question that it closed."""

    verdict: Verdict
    live: LiveRun | None = None
    question: Question | None = None


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
        self._parking = parking
        self._listed = listed
        self._requests = requests
        self._names = requests.names
        self._showing = Showing(role, host, parking, requests, timers)

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return human_address(self.role)

    # -- questions -----------------------------------------------------------------------------

    async def mail(self, delivery: Delivery) -> None:
        """Show the question that a run asks."""
        to, run, n = parse(delivery.subject)
        delivery.run = run
        live = await self._host.open(run, LogMessage(n, to, delivery.data))
        record = decode(delivery.data).records[-1]
        if delivery.num_delivered > 1:
            await live.catch_up()
        if isinstance(record, Asked):
            question = live.state.questions[record.id]
            again = self._host.may_repeat(delivery)
            if question.status == "open":
                await self._showing.show(live.state, question, delivery)
                crash.point("before_ack")
                self._listed.list_later(delivery, live, question.id, again=again)
                return
            if again:
                await self._listed.remove(live, question)
        elif isinstance(record, Withdrawn):
            slot = live.state.slot(record.frame, record.key)
            if slot is not None:
                await self._record_closed(live, live.state.questions[slot.ref])
        crash.point("before_ack")
        await delivery.ack()

    # -- answers -------------------------------------------------------------------------------

    async def answer(self, delivery: Delivery) -> None:
        """Take an answer: close the question it is for, and say what became of it."""
        token, _, responder = self._names.own(delivery.subject).split(".", 2)[2].partition(".")
        try:
            ticket = decode_token(token)
        except InvalidTicket as error:
            verdict = Verdict("invalid", reason=str(error))
            await self._issue(_receipt(token[:200], verdict, responder, delivery.seq), token)
            await delivery.ack()
            return
        given = read(delivery.data, ticket)
        if isinstance(given, Given) and responder:
            given = given._replace(by=responder)
        if isinstance(given, Refused):
            taken = _Taken(Verdict("invalid", reason=given.reason))
        else:
            took = await self._take(ticket, given, delivery)
            if took is None:
                await delivery.nak(_MOMENT)
                return
            taken = took
        by = given.by if isinstance(given, Given) else responder
        receipt = _receipt(ticket, taken.verdict, by, delivery.seq)
        issuing = asyncio.ensure_future(self._issue(receipt, token))
        try:
            if taken.live is not None and taken.question is not None:
                await self._record_closed(taken.live, taken.question)
                crash.point("after_record_closed")
        finally:
            await issuing
        await delivery.ack()

    async def _being_shown(
        self, ticket: str, record: ParkedRecord | None, given: Given, delivery: Delivery
    ) -> bool:
        """Whether the question that an answer may be for was published and has no record yet."""
        if delivery.num_delivered > _PATIENCE:
            return False
        known = {q.id for q in record.questions if q.role == self.role} if record else set[str]()
        coming = await self._showing.published_before(ticket, delivery.at) - known
        return given.question_id in coming if known and given.question_id else bool(coming)

    async def _take(self, ticket: str, given: Given, delivery: Delivery) -> _Taken | None:
        """Close the question that an answer is for, unless something closed it before.

        None: the question that it may be for is just being shown; look again in a moment.
        """
        await self._showing.shown(ticket, _MOMENT)  # a quick answer: its record comes
        if self._host.may_repeat(delivery):
            await self._catch_up(ticket)
        record, _ = await self._parking.get(ticket)
        verdict = judge(record, self.role, given, seq=delivery.seq, at=delivery.at)
        if verdict.outcome != "accepted":
            # A copy may lag behind; only the leader's word is enough to say no.
            record, _ = await self._parking.get_newest(ticket)
            verdict = judge(record, self.role, given, seq=delivery.seq, at=delivery.at)
            if verdict.outcome != "accepted" and await self._being_shown(
                ticket, record, given, delivery
            ):
                return None
        shown = verdict.question
        if verdict.outcome != "accepted" or shown is None:
            return _Taken(verdict)
        reason = unfit(shown, given) if shown.status == "open" else ""
        if reason:
            return _Taken(Verdict("invalid", shown, reason))
        live = await self._live(shown.run, record)
        question = await self._close(live, shown.id, given, delivery)
        if question.status == "answered" and question.seq == delivery.seq:
            return _Taken(verdict, live, question)
        await self._record_closed(live, question)
        return await self._lost(ticket, given, delivery, question, live)

    async def _lost(
        self, ticket: str, given: Given, delivery: Delivery, question: Question, live: LiveRun
    ) -> _Taken | None:
        """Somebody was faster: the answer is too late, or meant for the next question."""
        record, _ = await self._parking.get_newest(ticket)
        again = judge(record, self.role, given, seq=delivery.seq, at=delivery.at)
        if again.outcome != "accepted" or again.question is None:
            coming = await self._being_shown(ticket, record, given, delivery)
            return None if coming else _Taken(again)
        if again.question.id == question.id:
            return _Taken(lost(parked_question(live.state, question)))
        return await self._take(ticket, given, delivery)

    async def _catch_up(self, ticket: str) -> None:
        """Close in a ticket's record what its runs' logs have closed: a crash may lie between.

        An answer that comes again is then told what it was told before.
        """
        record, _ = await self._parking.get_newest(ticket)
        for shown in record.questions if record else ():
            if shown.role == self.role and shown.status == "open":
                live = await self._live(shown.run, record)
                await live.catch_up()
                question = live.state.questions.get(shown.id)
                if question is not None and question.status != "open":
                    await self._record_closed(live, question)

    async def _live(self, run: str, record: ParkedRecord | None) -> LiveRun:
        """The run, from memory, from its parked state, or from its log."""
        warm = self._host.cache.warm(run)
        state = record.runs.get(run) if record else None
        if warm is None and state is not None and state.form == FORM:
            return self._host.cache.seed(state)
        return warm or await self._host.cache.get(run)

    async def _close(
        self, live: LiveRun, question_id: str, given: Given, delivery: Delivery
    ) -> Question:
        """Append the answer unless the log holds another end; return what it holds."""
        known = live.state.questions.get(question_id)
        if known is None:
            await live.catch_up()
            known = live.state.questions[question_id]
        answered = Answered(
            id=question_id, text=given.text, by=given.by, at=delivery.at, seq=delivery.seq
        )
        crash.point("before_answered")
        await self._append(live, known, answered)
        crash.point("after_answered")
        return live.state.questions[question_id]

    async def _append(self, live: LiveRun, question: Question, record: Answered | Expired) -> None:
        frame = live.state.frames[question.frame]
        try:
            await live.append([record], to=frame.actor)
        except Fenced:
            return

    async def _issue(self, receipt: Receipt, token: str) -> None:
        """Publish a receipt; return when it is stored, for the answer is acknowledged next."""
        subject = self._names.subject(f"{self.role}.receipt.{token}")
        await self._requests.store(subject, msgspec.json.encode(receipt))
        crash.point("after_receipt")

    # -- deadlines and ends --------------------------------------------------------------------

    async def due(self, due: Due, delivery: Delivery) -> None:
        """Close a question whose deadline has passed, unless it is closed."""
        early = due.at - delivery.at
        if early > _EARLY:
            # The server's clock was moved; the deadline stands.
            await delivery.nak(early)
            return
        shown = _shown((await self._parking.get(due.ticket))[0], due.question)
        if shown is None:
            # Another worker may have shown it after this one last looked.
            shown = _shown((await self._parking.get_newest(due.ticket))[0], due.question)
        if shown is None or shown.status != "open":
            await delivery.ack()  # closed long ago: most deadlines are
            return
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
            await self._expire(live, question, due)
        await self._record_closed(live, live.state.questions[due.question])
        await delivery.ack()

    async def _expire(self, live: LiveRun, question: Question, due: Due) -> None:
        crash.point("before_expired")
        # While no worker was up, an answer may have come in time and still wait to be read.
        in_time = await self._answer_in_time(question, due)
        await self._append(live, question, in_time or Expired(id=question.id))
        crash.point("after_expired")

    async def _answer_in_time(self, question: Question, due: Due) -> Answered | None:
        """The first answer to `question` that was stored before its deadline, if there is one."""
        record, _ = await self._parking.get_newest(due.ticket)
        asked = next((q for q in record.questions if q.id == question.id), None) if record else None
        if asked is None:
            return None
        for answer in await self._answers_since(due.ticket, asked.since):
            given = read(answer.data, due.ticket)
            if answer.at > due.at or isinstance(given, Refused):
                continue
            verdict = judge(record, self.role, given, seq=answer.seq, at=answer.at)
            fits = verdict.outcome == "accepted" and not unfit(asked, given)
            if fits and verdict.question == asked:
                by = answer.responder or given.by
                return Answered(
                    id=question.id, text=given.text, by=by, at=answer.at, seq=answer.seq
                )
        return None

    async def _answers_since(self, ticket: str, since: float) -> list[_Stored]:
        subject = self._names.subject(f"{self.role}.response.{encode_token(ticket)}")
        found: list[_Stored] = []
        for wanted in (subject, f"{subject}.*"):
            body: dict[str, object] = {"next_by_subj": wanted, "batch": _ANSWERS}
            body["start_time"] = iso(since - 1)
            for msg in await self._requests.direct_get(self._names.stream("ANSWERS"), body):
                headers = msg.headers or {}
                if "Nats-Time-Stamp" in headers:
                    at = datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()
                    responder = headers["Nats-Subject"].removeprefix(subject)[1:]
                    seq = int(headers["Nats-Sequence"])
                    found.append(_Stored(seq, at, responder, msg.data))
        return sorted(found)

    async def _record_closed(self, live: LiveRun, question: Question) -> None:
        ticket = live.state.ticket
        await self._listed.closed(live, question)  # first: a closed record is not looked at again
        await self._parking.change(
            ticket,
            lambda record: with_question(record, live.state, question),
            await self._parking.get(ticket),
        )

    async def tidy(self, live: LiveRun) -> None:
        """Close in the records what the end of a run has cancelled."""
        for question in live.state.questions.values():
            if question.role == self.role and question.status == "cancelled":
                await self._record_closed(live, question)


def _shown(record: ParkedRecord | None, question: str) -> ParkedQuestion | None:
    """What the record of a ticket says of a question."""
    return next((q for q in record.questions if q.id == question), None) if record else None


def _receipt(ticket: str, verdict: Verdict, by: str, seq: int) -> Receipt:
    question = verdict.question
    won = question.by if question is not None and verdict.outcome == "already_answered" else by
    return Receipt(
        outcome=verdict.outcome,
        ticket=ticket,
        question=question.id if question is not None else None,
        reason=verdict.reason or None,
        by=won or None,
        at=iso(time.time()),
        seq=seq,
    )
