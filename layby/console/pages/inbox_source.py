"""What the inbox reads from the catalogue."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request

from ...runtime.times import iso
from ...views.rows import QuestionRow
from ..catalogue.entries import QuestionThread
from ..catalogue.query import QuestionQuery
from ..console import console_of
from ..login.session import session_of

PAGE: Final = 30
_JUST: Final = 600.0
"""Seconds in which a question was closed just now."""
_CLOSED: Final = 5
_VOTES: Final = frozenset({"counted", "accepted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer and what became of it.

    Attributes:
        outcome: As in its receipt.
        by: Who gave it; if another answer won, who gave that one.
        at: When its receipt was issued.
        seq: Its sequence in the stream of answers.
        reason: Why it was not accepted.
        text: What it says; empty if that is not known here.
    """

    outcome: str
    by: str = ""
    at: str = ""
    seq: int = 0
    reason: str = ""
    text: str = ""

    def counts_as(self, other: Answer) -> bool:
        """Whether it is a vote for the same as another: receipts say `1 of 2 for 'yes'`."""
        mine, theirs = (each.reason.partition(" for ")[2] for each in (self, other))
        return self.outcome in _VOTES and mine == theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A question, open or closed, and the answers to it.

    Attributes:
        question: What was asked.
        status: open, answered, expired, no_quorum or closed.
        closed_at: When it was closed; empty: it is open, or that is not known.
        answers: The answers in their order.
    """

    question: QuestionRow
    status: str
    closed_at: str = ""
    answers: tuple[Answer, ...] = ()

    @property
    def winner(self) -> Answer | None:
        """The answer that counts."""
        return next((each for each in self.answers if each.outcome == "accepted"), None)

    @property
    def deciders(self) -> tuple[str, ...]:
        """Who gave it: if several people decide, all whose votes chose the same."""
        won = self.winner
        if won is None:
            return ()
        several = self.question.quorum is not None
        gave = [each for each in self.answers if several and each.counts_as(won)] or [won]
        return tuple(dict.fromkeys(each.by for each in gave if each.by))


async def open_rows(request: Request) -> list[QuestionRow]:
    """The open questions, nearest deadline first."""
    return await console_of(request).catalogue.questions()


async def thread(request: Request, question: str) -> Thread | None:
    """A question by its id; None if none is known."""
    found = await console_of(request).catalogue.question(question)
    return None if found is None else as_thread(found)


async def thread_soon(request: Request, question: str) -> Thread | None:
    """The same; one that was asked just now may not be known yet."""
    found = await console_of(request).catalogue.question_soon(question)
    return None if found is None else as_thread(found)


async def history(
    request: Request, *, by: str, role: str, text: str, cursor: str | None
) -> tuple[list[Thread], str | None]:
    """Closed questions that this person may see, and the cursor of the next page."""
    query = QuestionQuery(
        by=by or None,
        role=role or None,
        roles=session_of(request).rights.seen,
        text=text or None,
        cursor=cursor,
        limit=PAGE,
    )
    page = await console_of(request).catalogue.history(query)
    return [as_thread(each) for each in page.items], page.next


async def just_closed(request: Request) -> list[Thread]:
    """The questions that this person may see and that were closed a moment ago, newest first."""
    items, _ = await history(request, by="", role="", text="", cursor=None)
    since = iso(time.time() - _JUST)
    return [each for each in items if each.closed_at >= since][:_CLOSED]


async def run_status(request: Request, run: str) -> str:
    """The status of a run; empty if it is not known."""
    row = await console_of(request).catalogue.run(run)
    return "" if row is None else str(row.status)


def as_thread(found: QuestionThread) -> Thread:
    """What the catalogue knows of a question."""
    answers = tuple(
        Answer(
            outcome=each.outcome,
            by=each.by,
            at=each.at,
            seq=each.seq,
            reason=each.reason,
            text=each.text or "",
        )
        for each in found.answers
    )
    thread = Thread(question=found.question, status=found.status, answers=answers)
    won = thread.winner
    return replace(thread, closed_at=won.at if won else "")
