"""Which of a ticket's answers win, judged one after the other."""

from __future__ import annotations

from typing import Any

import pytest

from layby.actors.people.answer import Given, Sent
from layby.actors.people.contest import Contest
from layby.actors.people.parked_question import ParkedQuestion
from layby.actors.people.shown_ladder import ShownTo
from layby.actors.people.tickets import ParkedRecord
from layby.runtime.quorum import Quorum
from layby.runtime.state import Question
from layby.runtime.times import iso

DIGEST = "abcdefabcdef"


def asked(ref: str = "q1", role: str = "developer", **more: Any) -> ParkedQuestion:
    return ParkedQuestion(
        id=ref,
        run="run",
        role=role,
        question="?",
        asked_at=iso(10.0),
        deadline=iso(100.0),
        since=10.0,
        **more,
    )


def sent(seq: int, text: str = "yes", *, to: str = "", by: str = "ada", role: str = "") -> Sent:
    return Sent(seq, 10.0 + seq, Given(text, to, by, responder=by), role)


def contest(*questions: ParkedQuestion, **more: Any) -> Contest:
    return Contest(ParkedRecord(ticket="T1", questions=questions), "developer", **more)


def test_the_first_valid_answer_closes_a_question_and_the_second_changes_nothing() -> None:
    found = contest(asked())
    assert found.add(sent(1))
    assert not found.add(sent(2, "no"))
    assert found.winners == {"q1": sent(1)}
    assert found.closed == {"q1"}
    [question] = found.record.questions
    assert (question.status, question.seq, question.by) == ("answered", 1, "ada")
    assert question.closed_at == iso(11.0)


def test_other_questions_stay_as_they_are() -> None:
    found = contest(asked("q1"), asked("q2"))
    assert found.add(sent(1, to="q2"))
    assert [each.status for each in found.record.questions] == ["open", "answered"]


@pytest.mark.parametrize("answer", [sent(1, to="q9"), sent(1, role="lead"), sent(200)])
def test_an_answer_that_closes_nothing_changes_nothing(answer: Sent) -> None:
    found = contest(asked())
    assert not found.add(answer)
    assert (found.winners, found.closed, found.unnamed) == ({}, set(), {})


def test_an_answer_of_the_wrong_form_loses_to_a_later_one_that_has_it() -> None:
    found = contest(asked(form={"type": "boolean"}))
    assert not found.add(sent(1, "perhaps"))
    assert found.add(sent(2, "no"))
    assert found.winners["q1"].seq == 2


def test_a_rule_may_refuse_more_than_the_form_does() -> None:
    def why_not(question: ParkedQuestion, answer: Sent) -> str:
        return f"not for {question.id}" if answer.given.by == "eve" else ""

    found = contest(asked(), why_not=why_not)
    assert not found.add(sent(1, by="eve"))
    assert found.add(sent(2))


def test_an_answer_of_a_role_to_which_it_was_escalated_counts() -> None:
    found = contest(asked(also={"lead": ShownTo(since=12.0, seq=5)}))
    assert not found.add(sent(1, role="lead")), "it was asked later"
    assert found.add(sent(3, role="lead", by="bob"))
    assert found.record.questions[0].by == "bob"


# -- answers that name no question ------------------------------------------------------------


def test_it_is_noted_when_the_last_answer_was_stored_that_names_no_question() -> None:
    found = contest(asked("q1"), asked("q2"), asked("q3", "lead"))
    assert found.add(sent(1, to="q1"))
    assert found.unnamed == {}
    assert found.add(sent(2))
    assert found.add(sent(4, role="lead"))
    assert found.unnamed == {"developer": 12.0, "lead": 14.0}


def test_an_approval_by_its_digest_names_its_question() -> None:
    found = contest(asked(digest=DIGEST))
    assert found.add(sent(1, f"approve {DIGEST}"))
    assert found.unnamed == {}
    other = contest(asked(digest=DIGEST))
    assert other.add(sent(1, "approve"))
    assert other.unnamed == {"developer": 11.0}


# -- votes ------------------------------------------------------------------------------------

TWO = Quorum(number=2, people={"developer": ["ada", "bob", "cleo"]})


def polled(quorum: Quorum = TWO, form: dict[str, Any] | None = None) -> Contest:
    form = form or {"type": "boolean"}
    poll = Question(
        id="q1", frame="w", key="ask", role="developer", question="?", form=form, quorum=quorum
    )
    return contest(asked(form=form, quorum=quorum), polls={"q1": poll})


def test_votes_are_counted_until_the_question_is_decided() -> None:
    found = polled()
    assert found.add(sent(1, to="q1"))
    assert found.closed == set()
    assert found.record.questions[0].status == "open"
    assert not found.add(sent(2, to="q1")), "one person is one vote"
    assert found.add(sent(3, by="bob"))
    assert found.closed == {"q1"}
    assert found.winners == {}
    [question] = found.record.questions
    assert (question.status, question.by, question.seq) == ("answered", "ada, bob", 3)
    assert [vote.seq for vote in found.votes["q1"]] == [1, 3]
    assert found.unnamed == {"developer": 13.0}
    assert not found.add(sent(4, by="cleo"))


def test_a_vote_with_which_nobody_can_agree_any_longer_closes_the_question() -> None:
    found = polled(Quorum(number=3, people=TWO.people))
    assert found.add(sent(1))
    assert found.add(sent(2, "no", by="bob"))
    assert found.record.questions[0].status == "no_quorum"
    assert found.closed == {"q1"}


def test_the_votes_of_the_log_are_left_as_they_were() -> None:
    poll = Question(
        id="q1",
        frame="w",
        key="ask",
        role="developer",
        question="?",
        form={"type": "boolean"},
        quorum=TWO,
    )
    found = contest(asked(form={"type": "boolean"}, quorum=TWO), polls={"q1": poll})
    assert found.add(sent(1))
    assert (poll.votes, poll.status) == ([], "open")
    assert len(found.polls["q1"].votes) == 1


def test_a_vote_on_a_question_whose_log_is_not_known_does_not_count() -> None:
    found = contest(asked(form={"type": "boolean"}, quorum=TWO))
    assert not found.add(sent(1))
    assert found.votes == {}
