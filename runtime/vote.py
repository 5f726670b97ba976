"""A vote as the code that asked gets it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from .choice import choice_of
from .state import Question


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What one of several people decided."""

    by: str
    """Who voted."""
    role: str
    """The role that the vote counts for."""
    choice: str
    """What it chose: `approve` or `reject` of a tool call, `yes` or `no`, or one of the values."""
    text: str
    """The vote as it was written."""
    at: datetime
    vouched: str
    """Who vouches for `by`: `nats` or `signature`."""


def votes_on(question: Question) -> tuple[Vote, ...]:
    """The votes on a question, in the order in which they were stored."""
    return tuple(
        Vote(
            by=each.by,
            role=each.role,
            choice=choice_of(question, each.text),
            text=each.text,
            at=datetime.fromtimestamp(each.at, UTC),
            vouched=each.vouched,
        )
        for each in question.votes
    )


def summary(votes: tuple[Vote, ...]) -> str:
    """Who voted for what, in words."""
    return ", ".join(f"{each.by}: {each.choice}" for each in votes) or "nobody has voted"
