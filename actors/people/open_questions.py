"""The list of open questions: a bucket with one row for each.

A question that is answered at once needs no row. Its row is written a moment after it was shown,
together with its run's row in the index, and only then is the mail that asked acknowledged: if the
worker dies first, another one shows the question again and writes both. The worker that closes a
question removes its row. Rows are derived: the ticket's record and the run's log are the source.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import msgspec
import structlog

from ...bus.bucket import Bucket
from ...bus.errors import BusError, Conflict
from ...bus.mailbox import Delivery
from ...bus.token import check_ticket, encode
from ...runtime import clock, crash
from ...runtime.index import Index
from ...runtime.ladder import NO_LADDER, Ladder
from ...runtime.quorum import roles_of
from ...runtime.run import LiveRun
from ...runtime.state import OPEN, Question
from .asked_of import asked_also_of
from .confidential import sealed
from .parked_question import ParkedQuestion, parked_question
from .shown_ask_back import shown_ask_backs

log = structlog.get_logger("layby.human")

BUCKET = "questions"
_TRIES = 20
_MARKER_SAFE = 20.0
"""Seconds in which a row that is written late still finds the marker of its removal."""
_UNREADABLE_RETRY = 30.0
"""Seconds until a question is tried again whose log this worker cannot read."""


class OpenQuestion(msgspec.Struct, kw_only=True, frozen=True):
    """A row: an open question and its ticket."""

    ticket: str
    question: ParkedQuestion

    def __post_init__(self) -> None:
        """Refuse an id that no ticket can have. Raises ValueError."""
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
        self._unlisted: dict[str, float] = {}
        """Questions that this worker has shown and not listed yet, and when they were asked.

        Other workers may have had their mail since: this one may have been stopped.
        """
        self._listing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def list_later(self, delivery: Delivery, live: LiveRun, question: str, *, again: bool) -> None:
        """List a question in a moment if it is still open, then acknowledge its mail.

        `again`: another worker may have had its mail before, and have listed it.
        """
        if not again:
            self._unlisted[question] = self._loop.time() - max(0.0, clock.now() - delivery.at)
        self._index.later.add(partial(self._start_listing, delivery, live, question, again=again))

    def _start_listing(
        self, delivery: Delivery, live: LiveRun, question: str, *, again: bool
    ) -> None:
        task = self._loop.create_task(self._list(delivery, live, question, again=again))
        self._listing.add(task)
        task.add_done_callback(self._listing.discard)

    async def _list(self, delivery: Delivery, live: LiveRun, question: str, *, again: bool) -> None:
        asked = self._unlisted.pop(question, None)
        try:
            if _is_open(live, question) and (again or asked is not None):
                await self._put(live, live.state.questions[question])
                crash.point("after_question_row")
                await self._index.write(live)
                again = asked is None or self._loop.time() - asked > _MARKER_SAFE
                if again:
                    await live.confirm()
            # Closed since, and the marker that would have prevented the row may be gone.
            if again and not _is_open(live, question):
                await self.remove(live, live.state.questions[question])
            await delivery.ack()
        except Exception as error:  # noqa: BLE001  nothing else returns its mail
            log.info("question.not_listed", run=live.id, question=question, error=str(error))
            await delivery.nak(1.0 if isinstance(error, BusError) else _UNREADABLE_RETRY)

    async def _put(self, live: LiveRun, question: Question) -> None:
        for role in roles_of(question):
            row = await self._row(live, question, role)
            with suppress(Conflict):  # listed already, or closed a moment ago
                await self._bucket.put(_key(live, question, role), row, revision=0)

    async def update(self, live: LiveRun, question: Question) -> None:
        """Update the rows of an open question, if it is listed by now.

        If this worker is about to list it, its rows will say so.
        """
        if question.id not in self._unlisted:
            for role in live.state.roles_of(question):
                await self.show_again(live, question, role)

    async def _row(self, live: LiveRun, question: Question, role: str) -> bytes:
        shown = parked_question(live.state, question)
        asked_back = shown_ask_backs(live.state, question)
        shown = msgspec.structs.replace(shown, asked_back=asked_back)
        shown = await sealed(self._bucket.vault, shown)
        return encode_row(
            OpenQuestion(ticket=live.state.ticket, question=asked_also_of(shown, role))
        )

    async def show_again(self, live: LiveRun, question: Question, role: str) -> None:
        """Write the row of an open question for `role`, as its log is now. Raises BusError."""
        key = _key(live, question, role)
        for _ in range(_TRIES):
            item = await self._bucket.get_raw(key)
            if item is not None and not item.value:
                return  # closed
            there = item.read(decode) if item is not None else None
            if there is not None and there.question.pos > live.state.tail:
                return
            row = await self._row(live, question, role)
            try:
                await self._bucket.put(key, row, revision=item.revision if item else 0)
            except Conflict:
                continue
            await live.confirm()
            if not _is_open(live, question.id):
                await self.remove(live, live.state.questions[question.id])
            return
        raise BusError(f"question {question.id}: its row in the list kept changing")

    def unlist(self, live: LiveRun, question: Question) -> bool:
        """Write no row for a question that the log has closed.

        Returns whether it may have rows all the same, from before or from another worker.
        """
        asked = self._unlisted.pop(question.id, 0.0)
        # Another worker may have listed it to show a rung, a vote, a card, or what people said.
        state = live.state
        said = (state.cards, state.acts, state.asked_back, state.opened)
        shown = question.quorum is not None or any(each.get(question.id) for each in said)
        shown = shown or any(each.reached for each in _ladder(live, question).rungs)
        # Before that delay, no other worker can have got its mail and listed it.
        return shown or self._loop.time() - asked >= self._index.later.delay

    async def remove(self, live: LiveRun, question: Question) -> None:
        """Remove the rows of a closed question, even one that is not visible yet.

        A worker that had its mail before may have written a row: the server may have stored a
        write that it never acknowledged. The marker that remains prevents a row that another worker
        is about to write.
        """
        for role in live.state.roles_of(question):
            await self._bucket.forget(_key(live, question, role))


def _key(live: LiveRun, question: Question, role: str) -> str:
    return question_key(role, live.state.ticket, question.id)


def _ladder(live: LiveRun, question: Question) -> Ladder:
    return live.state.ladders.get(question.id, NO_LADDER)


def _is_open(live: LiveRun, question: str) -> bool:
    known = live.state.questions.get(question)
    return known is not None and known.status == OPEN
