"""People who answer at a console over HTTP, two at once, and remember what they were told."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from layby.actors.people.answer import Receipt
from layby.console.api.problem import Problem
from layby.runtime.state import Question
from tests.http_api import Api, Reply

from .driver import SILENT, Driver
from .history import History
from .plan import Ticket
from .reader import LOST
from .violation import Violation

_AGAIN = 0.3
_TRIES = 40
"""Times that somebody tries while console or server are gone."""
_WON, _STORED, _LOST = 200, 202, {409, 422}
_LATER = {404, 503}
"""The question is not in the lists yet; the server is gone. Nothing is known to be stored."""
_KIND = "told otherwise over HTTP"


class Told(NamedTuple):
    """What somebody said at a console, and what came back."""

    question: str
    text: str
    status: int
    seq: int
    receipt: Receipt | None
    """None: the answer is stored, and has no receipt yet."""


class WebPeople:
    """Carol and Dave, who share a console."""

    def __init__(self, driver: Driver, api: Callable[[], Api]) -> None:
        self._driver = driver
        self._api = api
        self.away = False
        """Whether the console has no way to the server: then nobody can answer there."""
        self.told: list[Told] = []
        self.faults: list[str] = []
        """Responses that no answer should get."""

    async def answer(self, ticket: Ticket, id_: str, question: str) -> None:
        """Answer every other question, both at the same moment, beside those who use NATS."""
        if self.away or ticket.manner in SILENT or zlib.crc32(id_.encode()) % 2:
            return
        texts = [f"{name} over HTTP: {question}" for name in ("carol", "dave")]
        await asyncio.gather(*(self._say(id_, text) for text in texts))

    async def _say(self, id_: str, text: str) -> None:
        for _ in range(_TRIES):
            try:
                reply = await self._api().post(f"/questions/{id_}/answer", {"answer": text})
            except LOST:
                reply = None  # it may be stored or not: nobody was told anything
            if reply is not None and reply.status not in _LATER:
                self._hear(id_, text, reply)
                return
            await asyncio.sleep(_AGAIN)

    def _hear(self, id_: str, text: str, reply: Reply) -> None:
        receipt, seq = None, 0
        if reply.status == _WON:
            receipt = msgspec.json.decode(reply.body, type=Receipt)
        elif reply.status in {_STORED, *_LOST}:
            problem = msgspec.json.decode(reply.body, type=Problem)
            receipt, seq = problem.receipt, problem.seq
        if receipt is None and reply.status != _STORED:
            self.faults.append(f"answer to {id_}: {reply.status} {reply.body[:300]!r}")
            return
        told = Told(id_, text, reply.status, seq if receipt is None else receipt.seq, receipt)
        self.told.append(told)
        self._driver.acked[told.seq] = time.time()

    def violations(self) -> Iterator[Violation]:
        """Where what they were told is not what the streams and the logs say."""
        history = self._driver.history
        closed = {
            question.id: question
            for state in history.states.values()
            for question in state.questions.values()
        }
        for fault in self.faults:
            yield Violation(_KIND, fault)
        for told in self.told:
            if wrong := "; ".join(_wrong(told, closed.get(told.question), history)):
                text = f"answer {told.seq} to {told.question}, {told.status}: {wrong}"
                yield Violation(_KIND, text)


def _wrong(told: Told, question: Question | None, history: History) -> Iterator[str]:
    sent, receipt = history.answers.get(told.seq), told.receipt
    if sent is not None and (sent.given is None or sent.given.text != told.text):
        yield f"stored there is {sent.given}, and not {told.text!r}"
    if receipt is None:
        return
    stored = {(r.outcome, r.question, r.by) for _, r in history.receipts if r.seq == told.seq}
    if stored and (receipt.outcome, receipt.question, receipt.by) not in stored:
        yield f"told {receipt.outcome} by {receipt.by}, the stream has {stored}"
    if question is None:
        yield "no log has this question"
        return
    won = question.status == "answered" and question.seq == told.seq
    if won != (receipt.outcome == "accepted") or won != (told.status == _WON):
        yield f"told {receipt.outcome}, the log has {question.status} by {question.seq}"
    if receipt.outcome in {"accepted", "already_answered"} and (receipt.by or "") != question.by:
        yield f"told that {receipt.by} won, the log has {question.by}"
