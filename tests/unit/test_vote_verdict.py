"""What a receipt says about a vote: the same whenever it is asked for."""

from __future__ import annotations

from typing import Any

from layby.actors.people.answer import Given, Sent
from layby.actors.people.parked_question import CastVote, ParkedQuestion
from layby.actors.people.vote_verdict import already_voted, counted, has_voted
from layby.runtime import tally
from layby.runtime.entry import Voted
from layby.runtime.quorum import Quorum
from layby.runtime.state import Question
from layby.runtime.times import iso

MEANT = ParkedQuestion(
    id="q1",
    run="run",
    role="finance",
    question="Pay?",
    asked_at=iso(1.0),
    deadline=iso(99.0),
    votes=[CastVote(by="ada", role="finance", seq=5)],
)


def vote(by: str, text: str, seq: int) -> Voted:
    return Voted(id="q1", role="finance", text=text, by=by, at=float(seq), seq=seq, vouched="nats")


def question(quorum: Quorum | None, *votes: Voted, **more: Any) -> Question:
    """With these votes counted, one after the other."""
    found = Question(
        id="q1",
        frame="w",
        key="ask",
        role="finance",
        question="Pay?",
        form={"type": "boolean"},
        quorum=quorum,
        **more,
    )
    for each in votes:
        tally.count(found, each)
    return found


PEOPLE = {"finance": ["ada", "bob", "cleo"]}
ADA, BOB, CLEO = vote("ada", "true", 5), vote("bob", "no", 7), vote("cleo", "Yes", 9)


def test_a_vote_is_counted_with_how_far_its_choice_is() -> None:
    found = question(Quorum(number=2), ADA)
    verdict = counted(MEANT, found, ADA)
    assert (verdict.outcome, verdict.reason) == ("counted", "1 of 2 for 'yes'")
    assert verdict.votes is not None
    assert (verdict.votes.choice, verdict.votes.given, verdict.votes.needed) == ("yes", 1, 2)
    assert verdict.question is MEANT


def test_the_vote_that_decides_is_accepted() -> None:
    found = question(Quorum(number=2), ADA, BOB, CLEO)
    verdict = counted(MEANT, found, CLEO)
    assert (verdict.outcome, verdict.reason) == ("accepted", "2 of 2 for 'yes'")


def test_what_came_later_does_not_change_what_a_receipt_said() -> None:
    early, late = question(Quorum(number=2), ADA), question(Quorum(number=2), ADA, BOB, CLEO)
    assert counted(MEANT, early, ADA) == counted(MEANT, late, ADA)
    assert counted(MEANT, late, BOB).reason == "1 of 2 for 'no'"


def test_the_vote_after_which_nobody_can_agree_says_so() -> None:
    found = question(Quorum(number=3, people=PEOPLE), ADA, BOB)
    assert found.status == "no_quorum"
    verdict = counted(MEANT, found, BOB)
    assert verdict.outcome == "counted"
    assert verdict.reason == (
        "1 of 3 for 'no'; people can no longer agree, so the question is closed"
    )
    assert counted(MEANT, found, ADA).reason == "1 of 3 for 'yes'"


def test_a_question_that_one_answer_decides_counts_nothing() -> None:
    verdict = counted(MEANT, question(None), ADA)
    assert (verdict.outcome, verdict.votes) == ("accepted", None)


def test_one_person_has_one_vote() -> None:
    def sent(by: str, seq: int) -> Sent:
        return Sent(seq, 1.0, Given("yes", responder=by))

    assert has_voted(MEANT, sent("ada", 6))
    assert not has_voted(MEANT, sent("ada", 5)), "that is the vote itself"
    assert not has_voted(MEANT, sent("bob", 6))
    verdict = already_voted(MEANT, ADA)
    assert verdict.outcome == "already_voted"
    assert verdict.reason == "ada has voted: one person has one vote, the first counts"
