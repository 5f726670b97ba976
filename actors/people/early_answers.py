"""Takes answers to open questions early, ahead of those that wait before them in the stream.

Answers are handled in the order of their stream. One person could keep everybody else waiting by
sending thousands of answers that nobody asked for. While many wait, a worker reads which tickets
they are for, and first takes those that close an open question. An answer that it passes over, or
loses in a crash, is handled in its turn: nothing is refused here, and nothing is acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from ...bus.bounded import Bounded
from ...bus.errors import BusError, InvalidTicket
from ...bus.lookahead import WaitingMessage
from ...bus.mailbox import Delivery
from ...bus.requests import Requests
from ...bus.token import decode
from ...runtime import clock
from ...runtime.signature import HEADER
from .answer_subject import split_subject
from .question_publisher import QuestionPublisher
from .tickets import ParkedRecord, Tickets

log = structlog.get_logger("layby.human")

_PARALLEL = 8
"""Answers that are taken early at the same time."""
_MAX_WAITING = 1_000
"""Answers of one responder that wait to be taken early; others are handled in their turn."""
_MAX_RESPONDERS = 1_000
_FRESH = 1.0
"""Seconds after an answer was stored in which the record of its question may still appear."""
_RECHECK_DELAY = 0.2
"""Seconds after which an answer without a record is checked again."""
_PAGE = 1_000
"""Answers that are checked again in one read; the server finds 1,024 records at a time."""
_RECORD_WAIT = 0.2
"""Seconds to wait for the record of a question that this worker is publishing."""
_REMEMBERED = 10_000
"""Answers, by their place in the stream, that are remembered."""


def lookahead_consumer(role: str) -> str:
    """The consumer that lists the answers that wait."""
    return f"look-{role}"


class Found(NamedTuple):
    """An answer on a ticket with an open question."""

    subject: str
    seq: int
    at: float
    data: bytes
    signature: str
    ticket: str
    record: ParkedRecord
    """The ticket's record, which may be out of date."""


class Hit(NamedTuple):
    """A waiting answer whose ticket has an open question."""

    seen: WaitingMessage
    ticket: str
    record: ParkedRecord | None = None
    """The ticket's record, if few wait; otherwise it is read once its turn has come."""

    @property
    def shrunk(self) -> Hit:
        """What is kept of it while many wait."""
        return Hit(self.seen._replace(message=None), self.ticket)


class EarlyAnswers:
    """Finds the answers to one role that close an open question."""

    def __init__(
        self,
        role: str,
        requests: Requests,
        tickets: Tickets,
        publisher: QuestionPublisher,
        take: Callable[[Found], Awaitable[bool]],
    ) -> None:
        self._role = role
        self._requests = requests
        self._stream = requests.names.stream("ANSWERS")
        self._tickets = tickets
        self._publisher = publisher
        self._take = take
        """Takes an answer and issues its receipt if it closes a question; returns whether."""
        self._taken: Bounded[tuple[int, float], bool] = Bounded(_REMEMBERED)
        """By sequence and time, because a stream may be created anew."""
        self._delivered: Bounded[tuple[int, float], bool] = Bounded(_REMEMBERED)
        """Those whose own delivery is being handled, or was."""
        self._trying: dict[tuple[int, float], asyncio.Future[None]] = {}
        """Those that are being taken early; done when that has succeeded or failed."""
        self._unrecorded: list[WaitingMessage] = []
        """Those whose tickets had no record when they were checked."""
        self._queue = FairQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def knows(self, delivery: Delivery) -> bool:
        """Whether an answer was taken here, or is being taken. From now on it is not begun here."""
        place = (delivery.seq, delivery.at)
        self._delivered.put(place, value=True, size=1)
        return place in self._trying or place in self._taken

    async def has_taken(self, delivery: Delivery) -> bool:
        """Whether an answer was taken here and has its receipt; if not, its delivery takes it."""
        place = (delivery.seq, delivery.at)
        if place in self._trying:
            await asyncio.wait({self._trying[place]})
        return place in self._taken

    async def consider(self, seen: list[WaitingMessage]) -> None:
        """Take the answers early whose tickets have an open question. Raises BusError."""
        unrecorded = await self._queue_hits(seen)
        fresh = [each for each in unrecorded if clock.now() - each.at < _FRESH]
        if fresh and not self._unrecorded:
            self._loop.call_later(_RECHECK_DELAY, self._recheck)
        self._unrecorded += fresh[: _PAGE - len(self._unrecorded)]

    def _recheck(self) -> None:
        unrecorded, self._unrecorded = self._unrecorded, []

        async def check() -> None:
            await self._queue_hits(unrecorded)

        self._start(check)

    async def _queue_hits(self, seen: list[WaitingMessage]) -> list[WaitingMessage]:
        """Queue the answers whose ticket has an open question; return those without a record."""
        tickets = {each: ticket for each in seen if (ticket := self._ticket(each))}
        for ticket in set(tickets.values()):
            await self._publisher.wait_recorded(ticket, _RECORD_WAIT)
        by_ticket: dict[str, list[WaitingMessage]] = {}
        for each, ticket in tickets.items():
            by_ticket.setdefault(ticket, []).append(each)
        hits: list[Hit] = []
        recorded: set[str] = set()
        async for ticket, record in self._tickets.each_of(by_ticket):
            recorded.add(ticket)
            if self._is_open(record):
                kept = record if len(hits) < _PARALLEL else None
                hits += [Hit(each, ticket, kept) for each in by_ticket[ticket]]
        for hit in sorted(hits, key=lambda hit: hit.seen.seq):
            room = self._queue.size < _PARALLEL
            self._queue.put(hit if room else hit.shrunk, self._responder(hit.seen))
        self._start_queued()
        return [each for each, ticket in tickets.items() if ticket not in recorded]

    def _ticket(self, seen: WaitingMessage) -> str:
        token, _ = split_subject(self._requests.names.own(seen.subject))
        try:
            return decode(token)
        except InvalidTicket:
            return ""

    def _responder(self, seen: WaitingMessage) -> str:
        _, sender = split_subject(self._requests.names.own(seen.subject))
        return sender.responder

    def _is_open(self, record: ParkedRecord) -> bool:
        return any(self._role in q.roles and q.status == "open" for q in record.questions)

    def _start_queued(self) -> None:
        while len(self._tasks) < _PARALLEL and (hit := self._queue.get()):
            self._start(partial(self._try, hit))

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(self._safely(work))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  each answer is handled in its turn
            log.info("answer.not_early", role=self._role, error=str(error))
            if isinstance(error, BusError):
                self._queue.clear()  # an outage: the others would fail too

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._start_queued()

    async def stop(self) -> None:
        """Leave all waiting answers to their turn."""
        self._queue.clear()
        self._unrecorded.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _try(self, hit: Hit) -> None:
        place = (hit.seen.seq, hit.seen.at)
        if place in self._taken or place in self._delivered or place in self._trying:
            return
        ended = self._trying[place] = self._loop.create_future()
        try:
            found = await self._read(hit)
            if found is not None and await self._take(found):
                self._taken.put(place, value=True, size=1)
        finally:
            del self._trying[place]
            ended.set_result(None)

    async def _read(self, hit: Hit) -> Found | None:
        message, record = hit.seen.message, hit.record
        if message is None:
            body = msgspec.json.encode({"seq": hit.seen.seq})
            message = await self._requests.read(f"$JS.API.DIRECT.GET.{self._stream}", body)
        if record is None:
            record, _ = await self._tickets.get(hit.ticket)
        if message.status or record is None:
            return None
        headers = message.headers
        return Found(
            subject=hit.seen.subject,
            seq=hit.seen.seq,
            at=hit.seen.at,
            data=message.data,
            signature=headers.get(HEADER, ""),
            ticket=hit.ticket,
            record=record,
        )


class FairQueue:
    """Hits in turns, one of each responder; all answers without a name share one turn."""

    def __init__(self) -> None:
        self._by_responder: dict[str, deque[Hit]] = {}
        self.size = 0
        """How many wait."""

    def put(self, hit: Hit, responder: str) -> None:
        """Add a hit, unless too many of that responder wait."""
        if responder not in self._by_responder and len(self._by_responder) >= _MAX_RESPONDERS:
            return
        waiting = self._by_responder.setdefault(responder, deque())
        if len(waiting) < _MAX_WAITING:
            waiting.append(hit)
            self.size += 1

    def clear(self) -> None:
        """Drop all hits."""
        self._by_responder.clear()
        self.size = 0

    def get(self) -> Hit | None:
        """The next hit of the responder that has waited longest for a turn."""
        if not self._by_responder:
            return None
        responder, waiting = next(iter(self._by_responder.items()))
        del self._by_responder[responder]
        hit = waiting.popleft()
        self.size -= 1
        if waiting:
            self._by_responder[responder] = waiting
        return hit
