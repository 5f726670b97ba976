"""Which answers of a log count, for everybody who reads it and is no worker."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Role
from layby.runtime.entry import ROOT, Answered, Asked, Expired, Voted
from layby.runtime.quorum import Quorum
from layby.runtime.vouching import Signers
from layby.views.counted_answers import CountedAnswers
from tests.signing_desk import ADA


def asked(ref: str = "q1", **more: Any) -> Asked:
    about: dict[str, Any] = {"role": "developer", "question": "Known?", "deadline": 900.0}
    return Asked(frame=ROOT, key=f"ask-{ref}", id=ref, **{**about, **more})


def answered(ref: str = "q1", **more: Any) -> Answered:
    about: dict[str, Any] = {"text": "yes", "by": "ada", "at": 200.0, "seq": 9, "vouched": "nats"}
    return Answered(id=ref, **{**about, **more})


def vote(by: str, seq: int, text: str = "yes", ref: str = "q1") -> Voted:
    return Voted(id=ref, role="developer", text=text, by=by, at=1.0, seq=seq, vouched="nats")


def reading(*questions: Asked, signers: Signers | None = None) -> CountedAnswers:
    answers = CountedAnswers("r1", signers)
    answers.ticket = "T1"
    for each in questions:
        answers.add(each)
    return answers


def test_the_first_answer_counts_and_closes_its_question() -> None:
    answers = reading(asked("q1"), asked("q2"))
    assert answers.refusal(answered("q1")) == ""
    assert answers.refusal(answered("q1", by="bob")) == "the question was closed before"
    assert answers.refusal(answered("q2")) == ""


def test_an_answer_to_nothing_is_not_refused() -> None:
    assert reading(asked("q1")).refusal(answered("q9")) == ""


def test_a_question_that_has_expired_takes_no_answer() -> None:
    answers = reading(asked())
    answers.close(Expired(id="q1"))
    assert answers.refusal(answered()) == "the question was closed before"


def test_an_answer_that_does_not_count_leaves_its_question_open() -> None:
    answers = reading(asked(only="ada"))
    assert "only ada may answer" in answers.refusal(answered(by="bob"))
    assert answers.refusal(answered(by="ada")) == ""


def test_of_two_questions_with_one_id_the_first_stands() -> None:
    answers = reading(asked(question="First?"), asked(question="Second?"))
    question = answers.question("q1")
    assert question is not None
    assert question.question == "First?"
    assert answers.question("q9") is None


def test_votes_are_counted_until_they_decide() -> None:
    answers = reading(asked(quorum=Quorum(number=2), form={"type": "boolean"}))
    assert answers.vote_refusal(vote("ada", 1)) == ""
    poll = answers.poll("q1")
    assert poll is not None
    assert (poll.status, [each.by for each in poll.votes]) == ("open", ["ada"])
    assert "one person is one vote" in answers.vote_refusal(vote("ada", 2))
    assert answers.vote_refusal(vote("bob", 3)) == ""
    assert poll.status == "answered"
    assert answers.refusal(answered()) == "the question was closed before"


def test_a_vote_on_what_one_person_decides_does_not_count() -> None:
    answers = reading(asked())
    assert answers.vote_refusal(vote("ada", 1)) == "nobody was asked to vote on this"
    assert answers.poll("q1") is None
    assert answers.refusal(answered()) == ""


def test_one_answer_does_not_decide_what_several_people_decide() -> None:
    answers = reading(asked(quorum=Quorum(number=2), form={"type": "boolean"}))
    assert "several people decide this question" in answers.refusal(answered())
    assert answers.vote_refusal(vote("ada", 1)) == ""


@pytest.mark.parametrize(
    ("question", "claimed", "keys", "shown"),
    [
        (asked(), "nats", None, "nats"),
        (asked(), "slack", None, "slack"),
        (asked(), "signature", None, ""),
        (asked(accept=["signature"]), "signature", None, "signature"),
        (asked(), "nats", Signers([Role("developer", keys={"ada": ADA.public})]), "signature"),
        (asked(role="lead"), "nats", Signers([Role("developer", keys={"a": ADA.public})]), "nats"),
    ],
)
def test_who_vouches_is_said_by_the_rules_and_not_by_the_entry(
    question: Asked, claimed: str, keys: Signers | None, shown: str
) -> None:
    answers = reading(question, signers=keys)
    assert answers.vouched(answered(vouched=claimed)) == shown
    assert answers.keys_known == (keys is not None)


def test_the_role_of_a_question_that_nobody_asked_is_a_person() -> None:
    answers = reading(asked(role="lead"))
    assert (answers.role("q1"), answers.role("q9")) == ("lead", "person")
