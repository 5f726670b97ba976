"""Questions that are published and not in the record of their ticket yet: what they hold up."""

from __future__ import annotations

from ...bus.mailbox import Delivery
from ...bus.requests import Requests
from .answer import Verdict
from .contest import Contest
from .incoming import Early, Incoming
from .published_questions import PublishedQuestions
from .question_closing import Overtaken
from .tickets import ParkedRecord, Tickets

RETRY_DELAY = 0.2
"""Seconds after which an answer is tried again while its question is being published."""
_FAST_RETRIES = 25
"""Deliveries, five seconds, after which retries slow down: the question may never appear."""
_SLOW_RETRY_DELAY = 1.0
_MAX_RETRIES = 80
"""Deliveries of an answer that waits for its question, about a minute."""


def retry_delay(num_delivered: int) -> float:
    """Seconds until an answer is tried again whose question may be about to appear."""
    return RETRY_DELAY if num_delivered <= _FAST_RETRIES else _SLOW_RETRY_DELAY


class NotYet(Exception):
    """The question that an answer may be for is being published: try again in a moment."""


class PendingQuestions:
    """Finds out whether something may be for a question to one role that is being published."""

    def __init__(
        self, role: str, requests: Requests, tickets: Tickets, published: PublishedQuestions
    ) -> None:
        self._role = role
        self._requests = requests
        self._tickets = tickets
        self._published = published

    async def check_not_pending(
        self, answer: Incoming, record: ParkedRecord | None, verdict: Verdict
    ) -> None:
        """Raise NotYet if the question that is meant was published and has no record yet."""
        if verdict.outcome == "ambiguous" or answer.place.num_delivered > _MAX_RETRIES:
            return
        recorded = self._ids_in(record)
        named = answer.given.question_id
        published = await self._published.published_before(answer.ticket, answer.place.at)
        pending = published - recorded
        if named in pending if recorded and named else pending:
            raise NotYet

    async def check_unambiguous(self, answer: Incoming, record: ParkedRecord) -> None:
        """Raise NotYet if the answer may also be for a question that has no record yet."""
        if answer.place.num_delivered > _MAX_RETRIES:
            return
        unrecorded = await self._published.unrecorded(record, answer.place.at)
        if unrecorded:
            newest, _ = await self._tickets.get_newest(answer.ticket)
            raise NotYet if unrecorded - self._ids_in(newest) else Overtaken

    def _ids_in(self, record: ParkedRecord | None) -> set[str]:
        return {q.id for q in record.questions if self._role in q.roles} if record else set()

    async def check_contest(self, contest: Contest, place: Delivery | Early) -> None:
        """Raise NotYet if an unnamed answer of a contest may be for a question without a record."""
        if place.num_delivered <= _MAX_RETRIES:
            for role, at in contest.unnamed.items():
                published = PublishedQuestions(role, self._requests)
                if await published.unrecorded(contest.record, at):
                    raise NotYet
