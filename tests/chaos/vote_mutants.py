"""Seeded faults in how votes are counted: what the campaign `votes` must catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layby.actors.people import (
    answer,
    answer_admission,
    deadlines,
    earlier_answers,
    open_questions,
    vote_verdict,
    votes,
)
from layby.actors.people.answer import Verdict
from layby.runtime import tally

from .replacing import replace


def _none(*_: Any) -> None:
    """Find nothing."""


def _not_why(*_: Any) -> str:
    return ""


async def _nothing(*_: Any, **__: Any) -> None:
    """Do not do it."""


async def _no_more(*_: Any, **__: Any) -> Any:
    nothing: list[Any] = []
    for each in nothing:
        yield each


def one_person_is_two_votes() -> None:
    """Count every vote, whoever has voted before."""
    replace(tally, "voted_before", lambda _: _none)


def everybody_may_vote() -> None:
    """Ask of no vote whether its sender has one."""
    replace(tally, "why_not_entitled", lambda _: _not_why)
    replace(answer_admission, "why_not_entitled", lambda _: _not_why)


def votes_count_as_they_arrive() -> None:
    """Count the vote that is being handled, and not those that were stored before it."""
    replace(earlier_answers, "sent_by", lambda _: _no_more)


def votes_count_after_the_deadline() -> None:
    """Close no question to an answer because its deadline had passed."""

    def make(closed: Any) -> Any:
        def by_answers(question: Any, seq: int, at: float) -> bool:
            return question.status != "open" and bool(closed(question, seq, at))

        return by_answers

    replace(answer, "_was_closed", make)


def one_vote_too_few_decides() -> None:
    """Decide one vote too early."""

    def make(reached: Any) -> Any:
        def early(quorum: Any, votes: Any) -> bool:
            return bool(reached(quorum, [*votes, votes[-1]]))

        return early

    replace(tally, "is_reached", make)


def votes_in_time_forgotten() -> None:
    """Let the deadline come before the votes that were stored in time and not read."""
    replace(deadlines.Deadlines, "_record_in_time", lambda _: _nothing)


def every_vote_is_told_it_decided() -> None:
    """Tell every vote that counts that it was the one that decided."""

    def make(counted: Any) -> Any:
        def decides(*which: Any) -> Verdict:
            return counted(*which)._replace(outcome="accepted")  # type: ignore[no-any-return]

        return decides

    replace(votes, "counted", make)
    replace(vote_verdict, "counted", make)


def listed_for_a_vote_and_left() -> None:
    """Take a question off the list only if this worker cannot have been the only one to show it."""

    def make(unlist: Any) -> Any:
        def hasty(self: Any, live: Any, question: Any) -> bool:
            return not question.votes and bool(unlist(self, live, question))

        return hasty

    replace(open_questions.OpenQuestions, "unlist", make)


FAULTS: tuple[tuple[Callable[[], None], tuple[str, ...]], ...] = (
    (one_person_is_two_votes, ("one person voted twice",)),
    (everybody_may_vote, ("vote without a right",)),
    (votes_count_as_they_arrive, ("votes out of order",)),
    (votes_count_after_the_deadline, ("vote after the close",)),
    (one_vote_too_few_decides, ("wrong decision",)),
    (votes_in_time_forgotten, ("wrong decision", "vote lost")),
    (every_vote_is_told_it_decided, ("wrong receipt",)),
    (listed_for_a_vote_and_left, ("index disagrees with the log",)),
)
"""Each with the kinds of violation that it must show as."""
