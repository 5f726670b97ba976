"""Issues receipts: the message that says what became of an answer."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from ...bus.errors import Erased
from ...bus.group_commit import GroupCommit
from ...bus.requests import Requests
from ...runtime import clock, crash
from ...runtime.observing import Observer
from ...runtime.times import iso
from .answer import Candidate, Receipt, Verdict
from .answer_lines import answer_with
from .confidential import veiled
from .issued_receipts import IssuedReceipts
from .parked_question import ParkedQuestion
from .tickets import Tickets

_CANDIDATES = 20
"""Questions that the receipt of an ambiguous answer lists: anybody may send many such answers."""
_LINE = 500
"""Characters of each of them."""


class Receipts:
    """Issues the receipts for answers to one role."""

    def __init__(
        self,
        role: str,
        requests: Requests,
        *,
        tickets: Tickets,
        questions: GroupCommit,
        observer: Observer,
    ) -> None:
        """`questions` stores in the stream QUESTIONS."""
        self._role = role
        self._tickets = tickets
        self._issued = IssuedReceipts(requests)
        self._questions = questions
        self._names = requests.names
        self._observer = observer

    async def receipt(self, ticket: str, verdict: Verdict, by: str, seq: int) -> Receipt:
        """The receipt for the answer `seq`, which `by` gave."""
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
            votes=verdict.votes or msgspec.UNSET,
            candidates=tuple(
                [await self._candidate(ticket, each) for each in verdict.candidates[:_CANDIDATES]]
            ),
        )

    async def _candidate(self, ticket: str, asked: ParkedQuestion) -> Candidate:
        with suppress(Erased):
            asked = await self._tickets.shown(asked)
        question = veiled(asked)
        return Candidate(
            id=question.id,
            question=question.question.partition("\n")[0][:_LINE],
            run=question.run,
            deadline=question.deadline,
            answer_with=answer_with(self._names, ticket, question, self._role),
        )

    async def has(self, token: str, seq: int, since: float) -> bool:
        """Whether the receipt for the message `seq`, stored at `since`, was issued.

        Raises:
            CopyLags: no copy of the stream has all receipts, for seconds.
        """
        return await self._issued.has(self._subject(token), seq, since)

    async def issue(self, receipt: Receipt, token: str) -> None:
        """Publish a receipt and return once it is stored: the answer is acknowledged next."""
        subject = self._subject(token)
        await self._questions.store(subject, subject, msgspec.json.encode(receipt), {})
        self._observer.receipt(receipt.outcome)
        crash.point("after_receipt")

    def _subject(self, token: str) -> str:
        return self._names.subject(f"{self._role}.receipt.{token}")
