"""The open questions that people list: a bucket with a row for each, and nothing else.

A question that is answered at once needs no row. So its row is written a moment after it was shown,
together with its run's row in the index, and the mail that asked is acknowledged only then: if the
worker dies before, another one shows the question again and writes them. Whoever closes a question
removes its row. Rows are derived: what a question is, its ticket's record and its run's log say.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
import structlog

from ..bus.bucket import Bucket
from ..bus.errors import BusError, Conflict
from ..bus.mailbox import Delivery
from ..bus.token import check_ticket, encode
from ..runtime import clock, crash
from ..runtime.index import Index
from ..runtime.run import LiveRun
from ..runtime.state import OPEN, Question
from .parked import ParkedQuestion, parked_question

log = structlog.get_logger("layby.human")

BUCKET = "questions"
_SURE = 20.0
"""Seconds, well within the life of a marker, in which a row that is late finds it."""
_LATER = 30.0
"""Seconds until a question is looked at again whose log says what this worker cannot read."""


class OpenQuestion(msgspec.Struct, kw_only=True, frozen=True):
    """A row: an open question and its ticket."""

    ticket: str
    question: ParkedQuestion

    def __post_init__(self) -> None:
        """Refuse what no ticket can have as its id. Raises ValueError."""
        check_ticket(self.ticket)


def question_key(role: str, ticket: str, question: str) -> str:
    """The key of a question's row."""
    return f"{role}.{encode(ticket)}.{question}"


decode = msgspec.json.Decoder(OpenQuestion).decode
encode_row = msgspec.json.Encoder().encode


class OpenQuestions:
    """Keeps the rows of open questions in step with the logs."""

    def __init__(self, bucket: Bucket, index: Index) -> None:
        self._bucket = bucket
        self._index = index
        self._coming: dict[str, float] = {}
        """Questions that this worker has shown and not listed yet, and when they were asked.

        Since then others may have had their mail as well: this worker may have been stopped.
        """
        self._listing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def list_later(self, delivery: Delivery, live: LiveRun, question: str, *, again: bool) -> None:
        """List a question in a moment if it is still open, then acknowledge its mail.

        `again`: somebody had its mail before, and may have listed it.
        """
        if not again:
            self._coming[question] = self._loop.time() - max(0.0, clock.now() - delivery.at)
        self._loop.call_later(self._index.later, self._look, delivery, live, question, again)

    def _look(self, delivery: Delivery, live: LiveRun, question: str, again: bool) -> None:  # noqa: FBT001
        task = self._loop.create_task(self._list(delivery, live, question, again=again))
        self._listing.add(task)
        task.add_done_callback(self._listing.discard)

    async def _list(self, delivery: Delivery, live: LiveRun, question: str, *, again: bool) -> None:
        asked = self._coming.pop(question, None)
        try:
            if _is_open(live, question) and (again or asked is not None):
                await self._put(live, live.state.questions[question])
                crash.point("after_question_row")
                await self._index.write(live)
                again = asked is None or self._loop.time() - asked > _SURE
                if again:
                    await live.confirm()
            # Closed meanwhile, and the marker that would have kept the row away may be gone.
            if again and not _is_open(live, question):
                await self.remove(live, live.state.questions[question])
            await delivery.ack()
        except Exception as error:  # noqa: BLE001  nobody else would give its mail back
            log.info("question.not_listed", run=live.id, question=question, error=str(error))
            await delivery.nak(1.0 if isinstance(error, BusError) else _LATER)

    async def _put(self, live: LiveRun, question: Question) -> None:
        row = OpenQuestion(ticket=live.state.ticket, question=parked_question(live.state, question))
        with suppress(Conflict):  # listed already, or closed a moment ago
            await self._bucket.put(_key(live, question), encode_row(row), revision=0)

    async def closed(self, live: LiveRun, question: Question) -> None:
        """Remove the row of a question that the log has closed, unless it can have none.

        The marker that is left keeps away a row that somebody is about to write.
        """
        asked = self._coming.pop(question.id, 0.0)
        if self._loop.time() - asked < self._index.later:
            return  # so short a time after that nobody else can have got its mail and listed it
        await self.remove(live, question)

    async def remove(self, live: LiveRun, question: Question) -> None:
        """Remove the row of a question that is closed, also one that cannot be seen yet.

        For who had its mail before and may have written one: the server may have stored what it
        never acknowledged.
        """
        await self._bucket.forget(_key(live, question))


def _key(live: LiveRun, question: Question) -> str:
    return question_key(question.role, live.state.ticket, question.id)


def _is_open(live: LiveRun, question: str) -> bool:
    known = live.state.questions.get(question)
    return known is not None and known.status == OPEN
