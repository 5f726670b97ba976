"""Plays the outside world: opens tickets, answers questions, cancels; and knows what was acked."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

from layby.bus.errors import BusError
from layby.bus.opened import opened
from layby.bus.requests import PubAck, Requests
from layby.client.signing import NotToBeSigned, Published
from layby.runtime.signature import HEADER

from ..slow_disk import SlowOutbox
from . import logins, signers
from .app import SAID, TRIGGER, Op, Opened
from .history import History, Stored
from .plan import Ticket

T = TypeVar("T")

_PAUSE = 0.05
_EDGE = 0.3
_NAG_AFTER = 1.0
_CONFIRM_WITHIN = 2.0
_GIVE_UP = 180.0
"""Seconds after which the driver takes the server for lost; no fault lasts as long."""
_BEFORE = (0.0, 0.2, 0.5)
"""Seconds before a chat's first message."""
_GAPS = (0.0, 0.0, 0.0, 0.0, 0.02, 0.3)
"""Seconds between two messages of a chat."""
SILENT = {"never", "edge", "late"}
"""Manners of people who do not answer while a question is open."""


class Stuck(AssertionError):
    """Something did not come in time."""


class Driver:
    """Drives tickets through, whatever fails meanwhile."""

    def __init__(self, requests: Requests, others: dict[str, Requests]) -> None:
        self.requests = requests
        self._outboxes = {login: SlowOutbox(each) for login, each in others.items()}
        """What stores for those who say something, in batches, by their logins."""
        self.history = History(requests)
        self.tickets: dict[str, Ticket] = {}
        self.events: dict[str, PubAck] = {}
        """Tickets whose event JetStream has acknowledged."""
        self.acked: dict[int, float] = {}
        """Answers that JetStream has acknowledged, by sequence."""
        self.overtaken = 0
        """Unnamed answers that lost to a later one while a question stayed open: sent again."""
        self.refusals: Counter[str] = Counter()
        """What the server or the network said to the driver while something failed."""
        self.people = asyncio.Event()
        """Whether people answer at present; if not, they do it once it is set."""
        self.people.set()
        self._asked: set[str] = set()
        self._asked_on: set[str] = set()
        self._nagged: dict[str, float] = {}
        self.also: list[Callable[[Ticket, str, str], Awaitable[None]]] = []
        """Others who answer what `developer` is asked: ticket, id of the question, its text."""
        self.crowds: dict[str, Callable[[Ticket, Stored], Awaitable[None]]] = {}
        """By role: who answers in place of one person what it is asked."""
        self.purged: set[str] = set()
        """The runs of which no log is left, because somebody had them removed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures: list[BaseException] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, url: str) -> AsyncGenerator[Driver]:
        """A driver over connections of its own."""
        async with contextlib.AsyncExitStack() as stack:
            others: dict[str, Requests] = {}
            for login in logins.OUTSIDERS:
                bus = opened(logins.settings(url, login), patient=True)
                others[login] = (await stack.enter_async_context(bus)).requests
                others[login].confirm_within = _CONFIRM_WITHIN
            driver = cls(others[logins.OBSERVER], others)
            try:
                yield driver
            finally:
                for task in driver._tasks:
                    task.cancel()
                await asyncio.gather(*driver._tasks, return_exceptions=True)

    # -- what it does --------------------------------------------------------------------------

    def open(self, *tickets: Ticket) -> None:
        """Open tickets, each as soon as the server takes it."""
        for ticket in tickets:
            self.tickets[ticket.id] = ticket
            self.go(self._open(ticket))

    async def _open(self, ticket: Ticket) -> None:
        if ticket.manner == "early":
            await self.answer(ticket.id, f"early {ticket.n}")
        self.events[ticket.id] = await self.send(ticket)
        for op in ticket.ops:
            if op.kind == "chat":
                self.go(self._talk(ticket, op))
        if ticket.cancel_after is not None:
            await asyncio.sleep(ticket.cancel_after)
            await self._cancel(ticket)

    async def send(self, ticket: Ticket) -> PubAck:
        """Send the event of a ticket; nobody answers what is asked on one that was not opened."""
        event = Opened(ticketId=ticket.id, n=ticket.n, ops=ticket.ops)
        headers = {"Nats-Msg-Id": f"event-{ticket.n}"}
        body = msgspec.json.encode(event)
        return await self.surely(
            lambda: self._outboxes[logins.SENDER].store(TRIGGER, body, headers)
        )

    async def _talk(self, ticket: Ticket, op: Op) -> None:
        """Say everything of a chat: early, in bursts, and late."""
        saying: list[Awaitable[PubAck]] = []
        for number in range(op.count):
            text = f"{ticket.n}/{op.name}/{number}"
            gaps = _GAPS if number else _BEFORE
            await asyncio.sleep(gaps[zlib.crc32(text.encode()) % len(gaps)])
            saying.append(asyncio.ensure_future(self.surely(partial(self._say, text))))
        await asyncio.gather(*saying)

    async def _say(self, text: str) -> PubAck:
        body = msgspec.json.encode({"chat": text.rpartition("/")[0], "text": text})
        headers = {"Nats-Msg-Id": f"said-{text}"}
        return await self._outboxes[logins.SENDER].store(SAID, body, headers)

    async def _cancel(self, ticket: Ticket) -> None:
        while (state := self.history.run_of(ticket.id)) is None:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)
        who = self._outboxes[logins.OPERATOR]
        body = msgspec.json.encode({"run": state.id, "why": "chaos"})
        subject = f"layby.do.cancel.{logins.OPERATOR}"
        await self.surely(lambda: who.store(subject, body))

    async def look(self) -> None:
        """Read what is new, and answer what is asked."""
        await self.surely(self.history.refresh)
        for question_id, stored in self.history.questions.items():
            if question_id not in self._asked:
                self._asked.add(question_id)
                self.go(self._reply(question_id, stored))
        self._nag()

    def _nag(self) -> None:
        """Answer again, by name, what stays open although a person has answered."""
        told = {receipt.seq for _, receipt in self.history.receipts}
        waiting = {a.ticket for a in self.history.answers.values() if a.seq not in told}
        now = time.monotonic()
        if not self.people.is_set():
            return
        for state in self.history.states.values():
            ticket = self.tickets.get(state.ticket)
            if ticket is None or ticket.manner in SILENT or ticket.id in waiting:
                continue
            for question in state.open_questions():
                if question.id not in self._asked or question.role in self._not_nagged:
                    continue
                if now - self._nagged.setdefault(question.id, now) > _NAG_AFTER:
                    self._nagged[question.id] = now
                    self.overtaken += 1
                    text = f"answer to {question.question}"
                    self.go(self.answer(ticket.id, text, question.id))

    @property
    def _not_nagged(self) -> set[str]:
        return {signers.ROLE, *self.crowds}

    async def _reply(self, question_id: str, stored: Stored) -> None:
        asked = msgspec.json.decode(stored.data)
        ticket = self.tickets.get(asked["ticket"])
        if ticket is None:
            return  # nobody is to answer
        self._asked_on.add(ticket.id)
        deadline = _unix(asked["deadline"])
        for answer in self.also if asked["role"] != signers.ROLE else ():
            self.go(answer(ticket, question_id, asked["question"]))
        await self.people.wait()
        if crowd := self.crowds.get(asked["role"]):
            await crowd(ticket, stored)
            return
        await asyncio.sleep(ticket.delay)
        if asked["role"] == signers.ROLE:
            await self._reply_signed(ticket, Published.read(stored.data))
            return
        person = Person(self, ticket, question_id, asked["question"], deadline)
        await getattr(person, ticket.manner)()

    async def _reply_signed(self, ticket: Ticket, question: Published) -> None:
        """Forge answers before the genuine one and beside it; it is the only one that counts."""
        with contextlib.suppress(NotToBeSigned):  # where its deadline has passed
            before, *beside = signers.forged(question)
            await self._say_signed(question, before)
            if ticket.manner not in SILENT:
                beside.insert(zlib.crc32(question.id.encode()) % 3, signers.genuine(question))
            await asyncio.gather(*(self._say_signed(question, said) for said in beside))

    async def _say_signed(self, question: Published, said: signers.Said) -> None:
        subject = f"{signers.ROLE}.response.{question.ticket}.{said.by}"
        body = msgspec.json.encode({"answer": said.text, "questionId": question.id})
        headers = {HEADER: said.signature} if said.signature else None
        who = self._outboxes[said.by]
        family = f"{signers.ROLE}.response.>"
        ack = await self.surely(lambda: who.store(subject, body, headers, family=family))
        self.acked[ack.seq] = time.time()

    async def closed(self, question_id: str) -> None:
        """Return when a question is closed."""
        while True:
            for state in self.history.states.values():
                question = state.questions.get(question_id)
                if question is not None and question.status != "open":
                    return
            await asyncio.sleep(_PAUSE)

    async def answer(self, ticket: str, text: str, question: str = "", *, by: str = "") -> None:
        body = {"answer": text}
        if question:
            body["questionId"] = question
        await self.publish(ticket, msgspec.json.encode(body), by)

    async def publish(self, ticket: str, data: bytes, by: str = "") -> None:
        """Send an answer; return when JetStream has it."""
        subject = f"developer.response.{ticket}" + (f".{by}" if by else "")
        family = "developer.response.>"
        who = self._outboxes[by or logins.PEOPLE[0]]
        ack = await self.surely(lambda: who.store(subject, data, family=family))
        self.acked[ack.seq] = time.time()

    async def say(
        self, role: str, ticket: str, data: bytes, by: str = "", *, noun: str = "response"
    ) -> int:
        """Send an answer to any role, or an act; return its sequence once JetStream has it."""
        subject = f"{role}.{noun}.{ticket}" + (f".{by}" if by else "")
        who = self._outboxes[logins.PEOPLE[0]]
        family = f"{role}.{noun}.>"
        ack = await self.surely(lambda: who.store(subject, data, family=family))
        if noun == "response":
            self.acked[ack.seq] = time.time()
        return ack.seq

    def go(self, work: Any) -> None:
        """Do something beside everything else; nothing is over before it is."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)

    async def surely(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat until the server confirms it. Raises what it says after minutes."""
        deadline = time.monotonic() + _GIVE_UP
        while True:
            try:
                return await call()
            except BusError as error:
                self.refusals[_kind(error)] += 1
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_PAUSE)

    def was_asked(self, ticket: Ticket) -> bool:
        """Whether a question on the ticket was shown."""
        return ticket.id in self._asked_on

    # -- what it waits for ---------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool], within: float, what: str) -> None:
        """Go on looking until `holds`. Raises Stuck."""
        deadline = time.monotonic() + within
        while True:
            await self.look()
            if holds():
                return
            if time.monotonic() > deadline:
                raise Stuck(f"{what} within {within:g} s")
            await asyncio.sleep(_PAUSE)

    async def until_settled(self, judge: Callable[[], Awaitable[bool]], within: float) -> None:
        """Wait until every run is over, every answer has its receipt, and `judge` is content.

        Whatever has not come by then is for the checker to name.
        """
        deadline = time.monotonic() + within
        with contextlib.suppress(Stuck):
            await self.until(self.all_over, within, "all runs end")
        while True:
            await self.look()
            await self.surely(self.history.close)
            if (self.all_over() and await judge()) or time.monotonic() > deadline:
                return
            await asyncio.sleep(4 * _PAUSE)

    def all_over(self) -> bool:
        """Whether every run has ended, and every answer has its receipt."""
        if self._tasks or len(self.events) < len(self.tickets):
            return False
        ended = {state.ticket for state in self.history.states.values() if state.ended}
        receipts = {receipt.seq for _, receipt in self.history.receipts}
        said = self.history.answers.keys() | self.history.acts.keys()
        return ended >= set(self.tickets) and receipts >= said


class Person:
    """Somebody who answers one question, in one of the manners."""

    def __init__(
        self, driver: Driver, ticket: Ticket, question_id: str, question: str, deadline: float
    ) -> None:
        self._driver = driver
        self._ticket = ticket.id
        self._id = question_id
        self._text = f"answer to {question}"
        self._deadline = deadline

    async def never(self) -> None:
        """Say nothing."""

    async def prompt(self) -> None:
        await self._driver.answer(self._ticket, self._text)

    early = prompt

    async def plain(self) -> None:
        await self._driver.publish(self._ticket, self._text.encode())

    async def named(self) -> None:
        await self._driver.answer(self._ticket, self._text, self._id)

    async def twice(self) -> None:
        await asyncio.gather(*(self.prompt() for _ in range(3)))

    async def in_turn(self) -> None:
        await self._driver.publish(self._ticket, f"first: {self._text}".encode(), "alice")
        await self._driver.publish(self._ticket, f"second: {self._text}".encode())

    async def two_people(self) -> None:
        await asyncio.gather(
            *(
                self._driver.answer(self._ticket, f"{by}: {self._text}", self._id, by=by)
                for by in ("alice", "bob")
            )
        )

    async def wrong_id(self) -> None:
        await self._driver.answer(self._ticket, self._text, "qnonsense")
        await self.named()

    async def invalid(self) -> None:
        await self._driver.publish(self._ticket, b'{"answer": ')
        await self._driver.publish(self._ticket, b"")
        await self.prompt()

    async def edge(self) -> None:
        """Answer at the deadline, give or take."""
        part = zlib.crc32(self._id.encode()) % 1000 / 1000
        at = self._deadline + (2 * part - 1) * _EDGE
        await asyncio.sleep(max(0.0, at - time.time()))
        await self.named()

    async def late(self) -> None:
        await self._driver.closed(self._id)
        await self.named()


def _kind(error: BusError) -> str:
    """What a publisher can tell an error by."""
    return f"{type(error).__name__} {error.code}" if error.code else type(error).__name__


def _unix(text: str) -> float:
    from datetime import datetime  # noqa: PLC0415

    return datetime.fromisoformat(text).timestamp()
