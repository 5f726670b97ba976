"""The part of a client that collects a decision with everything that proves it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from ..actors.people.answer import Given, Receipt, understood
from ..actors.people.answer_subject import sender_of
from ..actors.people.published_questions import RUNG
from ..actors.people.rung_publisher import TOLD_HEADER
from ..bus.blobs import Blobs
from ..bus.errors import LaybyError, StreamMissing
from ..bus.log import Log, LogMessage
from ..bus.log_subject import parse, stream_of
from ..bus.reading import every, sequence, stored_at
from ..bus.requests import Requests
from ..bus.token import encode
from ..bus.wire import Message
from ..runtime.ask_back_records import AskedBack, Replied
from ..runtime.card_records import Notified, Undelivered
from ..runtime.choice import choice_of
from ..runtime.entry import Answered, Asked, Expired, Record, Stepped, Voted, Withdrawn
from ..runtime.envelope import UNREADABLE, read
from ..runtime.first_stored import entries
from ..runtime.ladder import NO_LADDER
from ..runtime.ladder_records import Laddered, Reached
from ..runtime.opened_records import OpenedQuestion
from ..runtime.run import LiveRun
from ..runtime.signature import HEADER, digest
from ..runtime.state import Question, RunState
from ..runtime.times import iso
from ..runtime.vouched import NONE, SIGNATURE
from ..runtime.vouching import Signers
from ..views.counted_answers import CountedAnswers
from ..views.listing import Progress
from ..views.lookup import find
from .approved_call import prepared, prepares
from .ask_back_checks import asked_back_in
from .card_checks import deliveries
from .decision_file import (
    AskBack,
    Counted,
    Decision,
    Delivery,
    Ended,
    Logged,
    Matter,
    Receipted,
    Rung,
    Sent,
    Shown,
)
from .ladder_checks import ladder_of
from .opened_checks import seen_by

_SAID = (AskedBack, Replied, OpenedQuestion)
_ABOUT = (Asked, Answered, Voted, Expired, Laddered, Reached, Notified, Undelivered, *_SAID)
"""The records that name their question."""
_PROGRESS = 200
"""Questions after which progress is reported."""


class NoSuchQuestion(LaybyError):
    """No question has that id."""


class _Asked(msgspec.Struct, frozen=True):
    id: str
    run: str


class DecisionApi:
    """Collects what the streams hold about a question, its answers and its receipts."""

    def __init__(self, requests: Requests, signers: Signers | None = None) -> None:
        self._requests = requests
        self._names = requests.names
        self._signers = signers

    async def decision(
        self, question: str, *, run: str | None = None, progress: Progress | None = None
    ) -> Decision:
        """A question with everything that shows who decided what.

        Args:
            question: The question's id.
            run: Its run, by id or ticket; None: all published questions are searched, which takes
                a while if there are many.
            progress: Called now and then with how many questions were read.

        Raises:
            NoSuchQuestion: there is none, or it is older than its stream keeps questions.
            NoSuchRun: there is no such run.
        """
        log = Log(self._requests)
        if run is None:
            run_id = await self._run_of(question, progress)
        else:
            run_id = await find(self._requests, log, run)
        live = LiveRun(log, RunState(id=run_id), signers=self._signers)
        messages = await entries(log, run_id)
        for message in messages:
            live.learn(message)
        state = live.state
        asked = state.questions.get(question)
        if asked is None:
            raise NoSuchQuestion(f"run {run_id} has asked no question {question!r}")
        roles = state.roles_of(asked)
        receipts = [each async for each in self._receipts(state.ticket, asked, roles)]
        logged = [each for each in messages if _about(each, asked)]
        places = await self._places(log, run_id)
        return Decision(
            made_at=iso(time.time()),
            question=await self._matter(state, asked, logged),
            outcome=_ended(asked),
            shown=[each async for each in self._shown(state.ticket, asked, roles)],
            answers=[each async for each in self._answers(state.ticket, asked, roles, receipts)],
            receipts=receipts,
            entries=[_logged(each, places[each.n]) for each in logged if each.n in places],
            ladder=_ladder(asked, logged, places),
            cards=_cards(asked, logged, places),
            asked_back=self._asked_back(state, asked, logged),
            opened=seen_by(asked.id, ((m.n, each) for m in logged for each in _records(m))),
        )

    def _asked_back(
        self, state: RunState, asked: Question, logged: list[LogMessage]
    ) -> list[AskBack]:
        answers = CountedAnswers(state.id, self._signers)
        answers.ticket = state.ticket
        return asked_back_in(asked.id, (r for each in logged for r in _records(each)), answers)

    async def _run_of(self, question: str, progress: Progress | None) -> str:
        looked = 0
        async for message in self._published("*.question.*"):
            looked += 1
            if progress is not None and looked % _PROGRESS == 0:
                progress(looked)
            try:
                found = msgspec.json.decode(message.data, type=_Asked)
            except UNREADABLE:
                continue
            if found.id == question:
                return found.run
        raise NoSuchQuestion(
            f"no question {question!r} is published here: check it, or name its run with --run; "
            "`layby show TICKET` and `layby questions` show the ids of questions"
        )

    async def _published(self, own: str) -> AsyncIterator[Message]:
        async with aclosing(self._every("QUESTIONS", own)) as found:
            async for message in found:
                yield message

    async def _every(self, stream: str, own: str) -> AsyncGenerator[Message]:
        subject = self._names.subject(own)
        try:
            async for message in every(self._requests, self._names.stream(stream), subject):
                yield message
        except StreamMissing:
            return

    async def _places(self, log: Log, run: str) -> dict[int, Message]:
        """Each position of a log as first stored, encrypted or not."""
        stream = self._names.stream(stream_of(run, await log.streams()))
        found: dict[int, Message] = {}
        async for message in every(self._requests, stream, log.position(run, "*")):
            found.setdefault(parse(message.headers["Nats-Subject"])[2], message)
        return found

    async def _matter(self, state: RunState, asked: Question, logged: list[LogMessage]) -> Matter:
        return Matter(
            id=asked.id,
            ticket=state.ticket,
            run=state.id,
            role=asked.role,
            question=asked.question,
            context=asked.context,
            agent=asked.agent,
            form=asked.form,
            call=asked.call,
            arguments=await self._arguments(asked, logged),
            accept=asked.accept,
            digest=asked.digest,
            sha256=digest(asked),
            asked_at=iso(asked.asked_at),
            deadline=iso(asked.deadline),
            quorum=asked.quorum,
            only=asked.only,
            to=state.ladders.get(asked.id, NO_LADDER).to,
        )

    async def _arguments(self, asked: Question, logged: list[LogMessage]) -> Any:
        """The arguments of a call to approve, as they were recorded when it was prepared."""
        for message in logged:
            for record in _records(message):
                if prepares(record, asked) and isinstance(record, Stepped):
                    result = await Blobs(self._requests).inflate(record.result)
                    call = prepared(bytes(result))
                    return None if call is None else call.arguments
        return None

    async def _shown(
        self, ticket: str, asked: Question, roles: Sequence[str]
    ) -> AsyncIterator[Shown]:
        for role in roles:
            async for message in self._published(f"{role}.question.{encode(ticket)}"):
                found: Any = _json(message.data)
                if found.get("id") == asked.id:
                    yield _shown(message, found, role)

    async def _receipts(
        self, ticket: str, asked: Question, roles: Sequence[str]
    ) -> AsyncIterator[Receipted]:
        async for message in self._published_to(roles, f"receipt.{encode(ticket)}"):
            try:
                receipt = msgspec.json.decode(message.data, type=Receipt)
            except UNREADABLE:
                continue
            if receipt.question == asked.id and receipt.act is msgspec.UNSET:
                yield Receipted(
                    seq=sequence(message),
                    at=_at(message),
                    answer=receipt.seq,
                    outcome=receipt.outcome,
                    reason=receipt.reason,
                    by=receipt.by,
                )

    async def _published_to(self, roles: Sequence[str], rest: str) -> AsyncIterator[Message]:
        """The messages on a subject of each role."""
        for role in roles:
            async for message in self._published(f"{role}.{rest}"):
                yield message

    async def _answers(
        self, ticket: str, asked: Question, roles: Sequence[str], receipts: list[Receipted]
    ) -> AsyncIterator[Sent]:
        """The answers that were taken for the question, in the order of their stream."""
        wanted = {receipt.answer for receipt in receipts} | {asked.seq}
        wanted.update(vote.seq for vote in asked.votes)
        found: list[Sent] = []
        for role in roles:
            plain = self._names.subject(f"{role}.response.{encode(ticket)}")
            for subject in (plain, f"{plain}.>"):
                async with aclosing(self._every("ANSWERS", self._names.own(subject))) as messages:
                    found += [
                        _sent(message, ticket, plain, asked)
                        async for message in messages
                        if sequence(message) in wanted
                    ]
        for each in sorted(found, key=lambda sent: sent.seq):
            yield each


def _about(message: LogMessage, asked: Question) -> bool:
    """Whether an entry of the log is about a question."""
    return any(
        (isinstance(record, _ABOUT) and record.id == asked.id)
        or (
            isinstance(record, Withdrawn) and (record.frame, record.key) == (asked.frame, asked.key)
        )
        or prepares(record, asked)
        for record in _records(message)
    )


def _records(message: LogMessage) -> list[Record]:
    envelope = read(message.data)
    return [] if envelope is None else envelope.records


def _ladder(asked: Question, logged: list[LogMessage], places: dict[int, Message]) -> list[Rung]:
    """The rungs of a question, with the entries that reached them."""
    records = [(each.n, record) for each in logged for record in _records(each)]
    found = ladder_of(asked.id, [record for _, record in records], [n for n, _ in records])
    return [
        msgspec.structs.replace(rung, reached=_at(places[rung.entry]))
        if rung.entry in places
        else rung
        for rung in found
    ]


def _cards(asked: Question, logged: list[LogMessage], places: dict[int, Message]) -> list[Delivery]:
    """What became of the cards of a question."""
    records = ((each.n, record) for each in logged for record in _records(each))
    return deliveries(asked.id, records, {n: _at(stored) for n, stored in places.items()})


def _shown(message: Message, found: dict[str, Any], role: str) -> Shown:
    headers = message.headers
    rung = headers.get(RUNG, "")
    return Shown(
        subject=headers["Nats-Subject"],
        seq=sequence(message),
        at=_at(message),
        people=found.get("sign", {}).get("people", []),
        role=role,
        rung=int(rung) if rung.isdecimal() else None,
        told=[name for name in headers.get(TOLD_HEADER, "").split(",") if name],
    )


def _ended(asked: Question) -> Ended:
    votes = [_counted(asked, vote) for vote in asked.votes]
    if asked.status != "answered":
        at = iso(asked.at) if asked.at else ""
        return Ended(status=asked.status, at=at, seq=asked.seq, votes=votes)
    return Ended(
        status=asked.status,
        answer=asked.text,
        by=asked.by,
        at=iso(asked.at),
        seq=asked.seq,
        vouched=asked.vouched,
        signature=asked.signature,
        votes=votes,
    )


def _counted(asked: Question, vote: Voted) -> Counted:
    return Counted(
        by=vote.by,
        role=vote.role,
        choice=choice_of(asked, vote.text),
        text=vote.text,
        at=iso(vote.at),
        seq=vote.seq,
        vouched=vote.vouched,
        signature=vote.signature,
    )


def _logged(entry: LogMessage, stored: Message) -> Logged:
    return Logged(
        n=entry.n,
        seq=sequence(stored),
        at=_at(stored),
        subject=stored.headers["Nats-Subject"],
        body=entry.data.decode("utf-8", "replace"),
    )


def _sent(message: Message, ticket: str, plain: str, asked: Question) -> Sent:
    subject, header = message.headers["Nats-Subject"], message.headers.get(HEADER, "")
    sender = sender_of(subject.removeprefix(plain)[1:])
    given = understood(message.data, ticket, sender, header)
    won = sequence(message) == asked.seq and SIGNATURE in asked.accept
    if asked.quorum is not None:
        won = any(v.seq == sequence(message) and v.vouched == SIGNATURE for v in asked.votes)
    return Sent(
        subject=subject,
        seq=sequence(message),
        at=_at(message),
        by=given.by if isinstance(given, Given) else sender.responder,
        vouched=SIGNATURE if won else given.vouched if isinstance(given, Given) else NONE,
        signature=header,
        body=message.data.decode("utf-8", "replace"),
    )


def _json(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except UNREADABLE:
        return {}


def _at(message: Message) -> str:
    return iso(stored_at(message))
