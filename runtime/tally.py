"""Counts votes: one person is one vote, in the order of the stream of answers. Pure.

The log's fold, the worker that records votes, and every reader of a log count by these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from .choice import REJECTIONS, choice_of
from .entry import Voted
from .quorum import Quorum, is_reachable, is_reached, roles_of, standing
from .state import ANSWERED, NO_QUORUM, OPEN, Question
from .vouched import weakest


class Decidable(Protocol):
    """A question with what decides it."""

    @property
    def role(self) -> str:
        """The role that is asked first."""
        ...

    @property
    def form(self) -> dict[str, Any] | None:
        """What an answer must be; None: any text."""
        ...

    @property
    def digest(self) -> str:
        """The digest of the call to approve; empty if the question is not an approval."""
        ...

    @property
    def quorum(self) -> Quorum | None:
        """What it takes to decide it; None: one answer."""
        ...


class Result(NamedTuple):
    """What the votes on a question amount to."""

    status: str
    """`open`, `answered` or `no_quorum`."""
    winners: tuple[Voted, ...] = ()
    """The votes for the choice that was made, oldest first."""


def why_no_vote(question: Question, vote: Voted) -> str:
    """Why a vote does not count; empty when it does."""
    if question.quorum is None or question.status != OPEN:
        return "the question is closed, or one answer decides it"
    if question.votes and vote.seq <= question.votes[-1].seq:
        return "a later vote has been counted"
    if voted_before(question.votes, vote) is not None:
        return f"{vote.by} has voted: one person is one vote"
    return why_not_entitled(question, vote.role, vote.by) or (
        "" if choice_of(question, vote.text) else "the vote is for none of the choices"
    )


def voted_before(votes: Sequence[Voted], vote: Voted) -> Voted | None:
    """The vote of the same person that counts, whatever role it was for; None: there is none."""
    return next((each for each in votes if each.by == vote.by), None)


def why_not_entitled(question: Decidable, role: str, person: str) -> str:
    """Why a person has no vote for a role; empty if they have."""
    quorum = question.quorum
    if quorum is None or role not in roles_of(question):
        return f"the role {role!r} is not asked"
    if not person:
        return "a vote needs the name of the person in its subject"
    if person in quorum.exclude:
        return f"{person} is excluded from this decision"
    people = quorum.may_vote(role)
    if people is not None and person not in people:
        return f"{person} is not in the role {role!r}: {', '.join(people)} may vote"
    return ""


def count(question: Question, vote: Voted) -> None:
    """Add a vote that counts; the one that makes the decision closes the question."""
    question.votes = [*question.votes, vote]
    status, winners = result(question, question.votes)
    if status == OPEN:
        return
    question.status, question.at, question.seq = status, vote.at, vote.seq
    if status == ANSWERED:
        question.text = winners[-1].text
        question.by = ", ".join(each.by for each in winners)
        question.vouched = weakest(each.vouched for each in winners)


def result(question: Decidable, votes: Sequence[Voted]) -> Result:
    """What votes amount to: all of them count, and the last has just been added."""
    quorum = question.quorum
    if quorum is None or not votes:
        return Result(OPEN)
    alike = same_choice(question, votes, votes[-1])
    if quorum.veto and choice_of(question, votes[-1].text) in REJECTIONS:
        return Result(ANSWERED, alike)
    if is_reached(quorum, alike):
        return Result(ANSWERED, alike)
    voted, roles = {each.by for each in votes}, roles_of(question)
    parties = {choice_of(question, each.text): each for each in votes}.values()
    may_agree = any(
        is_reachable(quorum, roles, same_choice(question, votes, each), voted) for each in parties
    )
    return Result(OPEN if may_agree else NO_QUORUM)


def same_choice(question: Decidable, votes: Sequence[Voted], vote: Voted) -> tuple[Voted, ...]:
    """The votes for the same choice as `vote`, oldest first."""
    chosen = choice_of(question, vote.text)
    return tuple(each for each in votes if choice_of(question, each.text) == chosen)


def standing_of(question: Decidable, votes: Sequence[Voted], vote: Voted) -> str:
    """How many of the votes that it needs the choice of `vote` has with it, in words."""
    if question.quorum is None:
        return ""
    until = [each for each in votes if each.seq <= vote.seq]
    alike = same_choice(question, until, vote)
    return f"{standing(question.quorum, alike)} for {choice_of(question, vote.text)!r}"
