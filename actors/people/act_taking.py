"""Takes what people say to an open question besides answering it: see `act_records.Verb`.

What is said is an entry of the run's log, in the order in which the stream of answers stored it:
the worker that handles an act first reads what was stored before it, and appends what the log
lacks. So the first claim that was stored wins, even if a worker dies while it handles one. The
receipt comes after the entry, and the acknowledgement last.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import msgspec

from ...bus.errors import BusError, Erased, InvalidTicket
from ...bus.mailbox import Delivery
from ...bus.requests import Requests
from ...bus.token import decode as decode_token
from ...runtime import crash
from ...runtime.errors import Fenced, Gone
from ...runtime.host import Host
from ...runtime.mail import check_readable
from ...runtime.run import LiveRun
from ...runtime.state import OPEN
from ...runtime.times import iso
from .act import GivenAct, place_of, understood_act
from .act_decision import ActDecider, Decision
from .answer import TAKEN, Given, Receipt, Refused, Verdict, is_named
from .earlier_acts import EarlierActs, recorded, verdict_on
from .incoming import Incoming
from .parked_question import ParkedQuestion
from .pending_questions import NotYet, PendingQuestions, retry_delay
from .question_closing import Overtaken, QuestionCloser
from .receipts import Receipts
from .sent_acts import SentAct
from .tickets import ParkedRecord, question_in, with_question

_TRIES = 20
"""Attempts to record an act while others change its question."""
_LATE = frozenset({"already_answered", "too_late"})
_NOT_ASKED = "the run's log has another question than the record of this ticket: look at the run"


class _Taken(NamedTuple):
    """What became of an act."""

    verdict: Verdict
    decision: Decision | None = None


class Acts:
    """Takes the acts that are sent on the subjects of one role."""

    def __init__(
        self,
        role: str,
        host: Host,
        requests: Requests,
        *,
        receipts: Receipts,
        pending: PendingQuestions,
        closer: QuestionCloser,
        decider: ActDecider,
    ) -> None:
        self._role = role
        self._host = host
        self._names = requests.names
        self._pending = pending
        self._closer = closer
        self._receipts = receipts
        self._earlier = EarlierActs(role, requests, decider)

    async def take(self, delivery: Delivery) -> None:
        """Record what somebody said, and issue its receipt."""
        subject = self._names.own(delivery.subject)
        verb, token = subject.split(".")[1:3]
        ticket, given = _parsed(subject, token, delivery.data)
        if isinstance(given, Refused):
            taken, by = _Taken(Verdict("invalid", reason=given.reason)), ""
        else:
            try:
                taken, by = await self._resolve(ticket, token, given, delivery), given.person
            except NotYet:
                await delivery.nak(retry_delay(delivery.num_delivered))
                return
        if not await self._has_receipt(taken, token, delivery):
            receipt = await self._receipts.receipt(ticket, taken.verdict, by, delivery.seq)
            await self._receipts.issue(_about(receipt, verb, taken.decision), token)
        await delivery.ack()

    async def was_put_off(self, live: LiveRun, parked: ParkedQuestion) -> bool:
        """Whether the deadline of a question is later than its ticket's record says.

        What was asked back in time stops the clock once it is recorded, which this does first.

        Raises:
            NotYet: the question has changed meanwhile.
        """
        question = live.state.questions.get(parked.id)
        if parked.status != OPEN or question is None or not question.stops:
            return False
        if question.status == OPEN:
            await self.record_in_time(live, parked.id)
            question = live.state.questions[parked.id]
        return iso(question.deadline) > parked.deadline

    async def record_in_time(self, live: LiveRun, question: str) -> None:
        """Record what was said to an open question by its deadline and has not been handled yet.

        If it is delivered later, its handler finds it in the log.

        Raises:
            NotYet: the question has changed meanwhile.
        """
        ticket = live.state.ticket
        record, _ = await self._closer.tickets.get(ticket)
        parked = question_in(record, question)
        if parked is None:
            record, _ = await self._closer.tickets.get_newest(ticket)
            parked = question_in(record, question)
        if record is None or parked is None:
            return
        # A copy may not know yet that the clock was stopped, and the deadline is later.
        record = with_question(record, live.state, live.state.questions[question])
        try:
            found = await self._earlier.take_stored(live, parked, record)
        except Fenced:
            with suppress(Gone):  # then the log says so when the deadline is tried again
                await live.catch_up()
            raise NotYet from None
        if found:
            await self._closer.sync(live, live.state.questions[question])
            crash.point("after_act_shown")

    async def _has_receipt(self, taken: _Taken, token: str, delivery: Delivery) -> bool:
        """Whether an act that is too late by now got its receipt when it was not.

        The log does not say so: what is refused, or said again, leaves no entry.
        """
        is_late = taken.decision is None and taken.verdict.outcome in _LATE
        if not is_late or not self._host.may_repeat(delivery):
            return False
        return await self._receipts.has(token, delivery.seq, delivery.at)

    async def _resolve(
        self, ticket: str, token: str, given: GivenAct, delivery: Delivery
    ) -> _Taken:
        """Record an act for the question that it is for. Raises NotYet, BusError."""
        incoming = Incoming(ticket, token, Given("-", given.question_id), delivery)
        sent = SentAct(delivery.seq, round(delivery.at, 3), self._role, given)
        for _ in range(_TRIES):
            try:
                record = await self._closer.caught_up(ticket)
                return await self._resolve_with(incoming, sent, record)
            except Erased as error:
                self._host.cache.drop(error.run)
            except (Fenced, Overtaken):
                continue
        raise BusError(f"ticket {ticket!r}: its questions kept changing")

    async def _resolve_with(
        self, incoming: Incoming, sent: SentAct, record: ParkedRecord | None
    ) -> _Taken:
        """What becomes of an act, judged by a record. Raises NotYet, Fenced, Overtaken."""
        verdict = verdict_on(record, sent)
        parked = verdict.question
        if record is None or parked is None:
            await self._pending.check_not_pending(incoming, record, verdict)
            return _Taken(verdict)
        live = await self._closer.newest(parked.run, record)
        check_readable(live.state)
        question = live.state.questions.get(parked.id)
        if question is None:
            return _Taken(Verdict("invalid", reason=_NOT_ASKED))
        if sent.seq in recorded(live, parked.id):
            decision, earlier = await self._earlier.record(live, parked.id, sent), False
        else:
            if verdict.outcome == "too_late" and await self.was_put_off(live, parked):
                raise Overtaken
            if verdict.outcome not in TAKEN:
                await self._pending.check_not_pending(incoming, record, verdict)
                return _Taken(verdict)
            if not is_named(record, self._role, incoming.given):
                await self._pending.check_unambiguous(incoming, record)
            decision, earlier = await self._earlier.take(live, parked, record, sent)
        if earlier or decision.outcome == "recorded":
            await self._closer.sync(live, live.state.questions[parked.id])
            crash.point("after_act_shown")
        return _Taken(Verdict(decision.outcome, parked, decision.reason), decision)


def _parsed(subject: str, token: str, data: bytes) -> tuple[str, GivenAct | Refused]:
    """The ticket of an act, and what it says."""
    try:
        ticket = decode_token(token)
    except InvalidTicket as error:
        return token[:200], Refused(str(error))
    place = place_of(subject)
    return ticket, place if isinstance(place, Refused) else understood_act(place, data, ticket)


def _about(receipt: Receipt, verb: str, decision: Decision | None) -> Receipt:
    """A receipt with the fields that only an act has."""
    candidates = tuple(msgspec.structs.replace(each, answer_with=()) for each in receipt.candidates)
    receipt = msgspec.structs.replace(receipt, act=verb, candidates=candidates)
    if decision is None or not decision.until:
        return receipt
    return msgspec.structs.replace(receipt, by=decision.by, until=iso(decision.until))
