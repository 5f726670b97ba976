"""What the code that asked people gets: their answer, or the error that nobody gave one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic

import msgspec
from typing_extensions import TypeVar

from .entry import Asked
from .errors import AskTimedOut, NoQuorum
from .failure import blame
from .forms import answer_value
from .quorum import Quorum
from .state import NO_QUORUM, Question
from .vote import Vote, summary, votes_on

V = TypeVar("V", default=Any)
"""The type that was asked for."""


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[V]):
    """What a person answered."""

    text: str
    value: V
    """The answer as the type that was asked for; by default its text."""
    by: str
    """Who answered, as far as known; empty when the answer does not say."""
    at: datetime
    question_id: str
    vouched: str = ""
    """Who vouches for `by`: `nats` (it is part of the answer's subject, which the server can check
    against the user), `signature`, or `none`; empty when nobody answered, and in older logs."""
    votes: tuple[Vote, ...] = ()
    """If several people were to decide: their votes, in the order in which they were stored. `by`
    names those who voted for what was decided."""


def undecided(asked: Asked, question: Question) -> AskTimedOut | NoQuorum:
    """The error for a question that nobody answered in time, or that people do not agree on."""
    which = f"question {question.id}" if question.confidential else repr(question.question)
    said = summary(votes_on(question)) if question.quorum is not None else ""
    error: AskTimedOut | NoQuorum
    if question.status == NO_QUORUM:
        error = NoQuorum(f"people do not agree ({said}): {which}", question.id)
    else:
        deadline = datetime.fromtimestamp(question.deadline, UTC).isoformat(timespec="seconds")
        who = f"nobody with the role {question.role!r} answered by {deadline}"
        if said:
            who = f"too few people had voted by {deadline} ({said})"
        error = AskTimedOut(f"{who}: {which}", question.id)
    blame(error, asked.key)
    return error


def terms_of(quorum: Quorum | None) -> Quorum | None:
    """What decides, without who was in the roles at that time: their signatures show that."""
    return None if quorum is None else msgspec.structs.replace(quorum, people={})


def answer_of(question: Question, wanted: Any) -> Answer:
    """The answer that a closed question has, as the type that was asked for."""
    value = question.text if wanted is str else answer_value(question.text, wanted)
    at = datetime.fromtimestamp(question.at, UTC)
    return Answer(
        text=question.text,
        value=value,
        by=question.by,
        at=at,
        question_id=question.id,
        vouched=question.vouched,
        votes=votes_on(question),
    )
