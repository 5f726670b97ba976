"""What a worker remembers of answers that it has judged, and when it must judge them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from layby.actors.people.answer import Given, Sent
from layby.actors.people.contest import Contest
from layby.actors.people.judged_answers import Basis, JudgedAnswers, basis_of
from layby.actors.people.parked_question import CastVote, ParkedQuestion
from layby.actors.people.shown_ladder import ShownTo
from layby.actors.people.tickets import ParkedRecord
from layby.runtime.entry import Voted
from layby.runtime.quorum import Quorum
from layby.runtime.state import Question
from layby.runtime.times import iso

DEADLINE = 1_000.0
ROLES = ("finance",)


def question(ref: str = "q1", **more: Any) -> ParkedQuestion:
    fields: dict[str, Any] = {
        "id": ref,
        "run": "run",
        "role": "finance",
        "question": "Pay?",
        "asked_at": iso(1.0),
        "deadline": iso(DEADLINE),
        "since": 1.0,
        "form": {"type": "boolean"},
        "quorum": Quorum(number=3),
        **more,
    }
    return ParkedQuestion(**fields)


def vote(by: str, seq: int, text: str = "yes") -> Voted:
    return Voted(id="q1", role="finance", text=text, by=by, at=float(seq), seq=seq, vouched="nats")


def poll(*votes: Voted, **more: Any) -> Question:
    return Question(
        id="q1",
        frame="w",
        key="ask",
        role="finance",
        question="Pay?",
        form={"type": "boolean"},
        quorum=Quorum(number=3),
        votes=list(votes),
        **more,
    )


def sent(by: str, seq: int, text: str = "yes", at: float | None = None) -> Sent:
    given = Given(text, "q1", by, responder=by)
    return Sent(seq, float(seq) if at is None else at, given, "finance")


def basis(
    *questions: ParkedQuestion,
    polls: Sequence[Question] = (),
    interruptions: int = 0,
    roles: Sequence[str] = ROLES,
) -> Basis:
    record = ParkedRecord(ticket="T1", questions=questions or (question(),))
    return basis_of(record, roles, {each.id: each for each in polls}, interruptions)


def judged(*answers: Sent, votes: Sequence[Voted] = ()) -> JudgedAnswers:
    """After these answers, where the log had these votes before."""
    known = poll(*votes)
    found = JudgedAnswers(basis(polls=[known]))
    contest = Contest(
        ParkedRecord(ticket="T1", questions=(question(),)), "finance", polls={"q1": known}
    )
    for each in answers:
        found.add(contest, each)
    found.expect(contest)
    return found


# -- what they are judged by ------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"answer_with": ("nats pub",)},
        {"declined": ["ada"]},
        {"pos": 9},
        {"stopped_at": iso(20.0)},
    ],
)
def test_what_people_add_to_an_open_question_changes_no_verdict(change: dict[str, Any]) -> None:
    assert basis(question(**change)) == basis()


@pytest.mark.parametrize(
    "change",
    [
        {"question": "Pay more?"},
        {"form": None},
        {"accept": ["slack"]},
        {"only": "ada"},
        {"digest": "abcdefabcdef"},
        {"quorum": Quorum(number=2)},
        {"also": {"lead": ShownTo(since=1.0, seq=1)}},
        {"status": "cancelled", "closed_at": iso(20.0)},
        {"votes": [CastVote(by="ada", role="finance", seq=5)]},
    ],
)
def test_whatever_else_a_question_says_is_judged_by(change: dict[str, Any]) -> None:
    assert basis(question(**change)).questions != basis().questions


def test_votes_that_the_log_has_are_compared_there() -> None:
    shown = question(votes=[CastVote(by="ada", role="finance", seq=5)])
    logged = poll(vote("ada", 5))
    assert basis(shown, polls=[logged]).questions == basis(polls=[logged]).questions


def test_the_deadline_counts_only_of_a_closed_question() -> None:
    later = question(deadline=iso(DEADLINE + 1))
    assert basis(later).questions == basis().questions
    assert basis(later).deadlines == {"q1": DEADLINE + 1}
    closed = {"status": "expired", "closed_at": iso(DEADLINE)}
    one = basis(question(**closed))
    other = basis(question(**closed, deadline=iso(DEADLINE + 1)))
    assert one.deadlines == {}
    assert one.questions != other.questions


def test_questions_to_other_roles_do_not_matter_but_the_roles_do() -> None:
    other = question("q2", role="legal")
    assert basis(question(), other) == basis()
    assert basis(question(), other, roles=["finance", "legal"]) != basis()


# -- whether it still holds -------------------------------------------------------------------


def test_it_holds_while_nothing_has_changed_and_not_after_an_interruption() -> None:
    found = judged(sent("ada", 5))
    assert found.holds(basis(polls=[poll()]))
    assert not found.holds(basis(polls=[poll()], interruptions=1))
    assert not found.holds(basis(question(form=None), polls=[poll()]))
    assert not found.holds(basis())


def test_it_holds_when_the_log_gets_the_votes_that_were_judged_to_come() -> None:
    found = judged(sent("ada", 5), sent("bob", 7))
    assert found.holds(basis(polls=[poll(vote("ada", 5))]))
    assert found.holds(basis(polls=[poll(vote("ada", 5), vote("bob", 7))]))


@pytest.mark.parametrize(
    "votes",
    [
        [vote("eve", 4)],
        [vote("bob", 7)],
        [vote("ada", 5), vote("eve", 6)],
        [vote("ada", 5), vote("bob", 7), vote("eve", 6)],
    ],
)
def test_it_does_not_hold_when_the_log_has_other_votes(votes: list[Voted]) -> None:
    found = judged(sent("ada", 5), sent("bob", 7))
    assert not found.holds(basis(polls=[poll(*votes)]))


def test_votes_that_were_stored_after_all_that_was_judged_do_not_matter() -> None:
    found = judged(sent("ada", 5), sent("bob", 7))
    later = poll(vote("ada", 5), vote("bob", 7), vote("eve", 8))
    assert found.holds(basis(polls=[later]))


def test_a_log_that_has_lost_votes_or_closed_the_question_is_judged_again() -> None:
    found = judged(sent("bob", 7), votes=[vote("ada", 5)])
    assert found.holds(basis(polls=[poll(vote("ada", 5))]))
    assert not found.holds(basis(polls=[poll()]))
    closed = poll(vote("ada", 5), status="no_quorum")
    assert not found.holds(basis(polls=[closed]))


@pytest.mark.parametrize(
    ("deadline", "holds"), [(DEADLINE, True), (500.0, True), (5.0, True), (4.9, False)]
)
def test_a_moved_deadline_matters_if_a_judged_answer_came_after_it(
    deadline: float, *, holds: bool
) -> None:
    found = judged(sent("ada", 5))
    now = basis(question(deadline=iso(deadline)), polls=[poll()])
    assert found.holds(now) is holds


# -- how it goes on ---------------------------------------------------------------------------


def fresh(*votes: Voted) -> Contest:
    record = ParkedRecord(ticket="T1", questions=(question(),))
    return Contest(record, "finance", polls={"q1": poll(*votes)})


def test_only_answers_that_changed_something_are_judged_again() -> None:
    found = judged(sent("ada", 5), sent("ada", 6), sent("bob", 7, "perhaps"), sent("cleo", 8))
    again = fresh()
    found.replay(again, before=100)
    assert [each.seq for each in again.votes["q1"]] == [5, 8]
    assert found.end == 8


def test_a_replay_ends_before_a_place() -> None:
    found = judged(sent("ada", 5), sent("bob", 7))
    again = fresh()
    found.replay(again, before=7)
    assert [each.seq for each in again.votes["q1"]] == [5]


def test_what_the_log_has_is_forgotten() -> None:
    found = judged(sent("ada", 5), sent("bob", 7))
    before = found.size
    found.go_on(basis(polls=[poll(vote("ada", 5))]))
    again = fresh(vote("ada", 5))
    found.replay(again, before=100)
    assert [each.seq for each in again.votes["q1"]] == [7]
    assert found.size < before


def test_a_contest_that_is_replayed_is_where_one_that_judges_all_is() -> None:
    answers = [
        sent("ada", 5),
        sent("ada", 6, "no"),
        sent("bob", 7, "no"),
        sent("", 8),
        sent("cleo", 9),
        sent("dan", 10),
        sent("eve", 11),
    ]
    found, whole = judged(*answers), fresh()
    for each in answers:
        whole.add(each)
    again = fresh()
    found.replay(again, before=float("inf"))
    assert (again.votes, again.closed) == (whole.votes, whole.closed)
    assert again.record == whole.record
    assert again.closed == {"q1"}
    assert msgspec.json.encode(again.polls) == msgspec.json.encode(whole.polls)
