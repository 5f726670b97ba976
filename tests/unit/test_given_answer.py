"""What the code that asked gets: an answer, or an error that says how nobody gave one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from layby.runtime.entry import ROOT, Asked, Voted
from layby.runtime.errors import AskTimedOut, NoQuorum
from layby.runtime.failure import steps_of
from layby.runtime.given_answer import answer_of, terms_of, undecided
from layby.runtime.quorum import Quorum
from layby.runtime.state import NO_QUORUM, Question
from layby.runtime.vote import summary, votes_on

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
ASKED = Asked(frame=ROOT, key="ask#2", id="q1", role="finance", question="Pay?", deadline=9.0)
TWO = Quorum(number=2, people={"finance": ["ada", "bob"]})


def vote(by: str, text: str, seq: int = 1) -> Voted:
    return Voted(
        id="q1", role="finance", text=text, by=by, at=NOON.timestamp(), seq=seq, vouched="nats"
    )


def question(**more: Any) -> Question:
    fields: dict[str, Any] = {
        "id": "q1",
        "frame": ROOT,
        "key": "ask#2",
        "role": "finance",
        "question": "Pay?",
        "deadline": NOON.timestamp(),
        "status": "expired",
        **more,
    }
    return Question(**fields)


VOTED: dict[str, Any] = {
    "form": {"type": "boolean"},
    "quorum": TWO,
    "votes": [vote("ada", "true"), vote("bob", "no", 2)],
}


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        (
            question(),
            AskTimedOut,
            "nobody with the role 'finance' answered by 2026-11-30T12:00:00+00:00: 'Pay?'",
        ),
        (
            question(confidential=True),
            AskTimedOut,
            "nobody with the role 'finance' answered by 2026-11-30T12:00:00+00:00: question q1",
        ),
        (
            question(**VOTED),
            AskTimedOut,
            "too few people had voted by 2026-11-30T12:00:00+00:00 (ada: yes, bob: no): 'Pay?'",
        ),
        (
            question(quorum=TWO),
            AskTimedOut,
            "too few people had voted by 2026-11-30T12:00:00+00:00 (nobody has voted): 'Pay?'",
        ),
        (
            question(status=NO_QUORUM, **VOTED),
            NoQuorum,
            "people do not agree (ada: yes, bob: no): 'Pay?'",
        ),
    ],
)
def test_an_error_says_who_was_asked_and_what_people_said(
    asked: Question, kind: type[Exception], said: str
) -> None:
    error = undecided(ASKED, asked)
    assert type(error) is kind
    assert (str(error), error.question_id) == (said, "q1")


def test_the_error_names_the_step_so_that_a_retry_asks_again() -> None:
    assert steps_of(undecided(ASKED, question())) == ["ask#2"]


def test_an_answer_has_the_type_that_was_asked_for() -> None:
    closed = question(
        status="answered", text=" yes ", by="ada", at=NOON.timestamp(), vouched="nats", **VOTED
    )
    answer = answer_of(closed, bool)
    assert (answer.value, answer.text, answer.by, answer.at) == (True, " yes ", "ada", NOON)
    assert (answer.question_id, answer.vouched) == ("q1", "nats")
    assert [(each.by, each.choice, each.text) for each in answer.votes] == [
        ("ada", "yes", "true"),
        ("bob", "no", "no"),
    ]


@pytest.mark.parametrize("text", ["7", '"quoted"', '{"a": 1}', "null"])
def test_an_answer_as_text_is_what_was_written(text: str) -> None:
    assert answer_of(question(status="answered", text=text), str).value == text


def test_a_vote_is_kept_with_who_and_when() -> None:
    [first, second] = votes_on(question(**VOTED))
    assert (first.role, first.vouched, first.at) == ("finance", "nats", NOON)
    assert summary((first, second)) == "ada: yes, bob: no"
    assert summary(()) == "nobody has voted"


def test_the_terms_leave_out_who_was_in_the_roles() -> None:
    assert terms_of(None) is None
    assert terms_of(TWO) == Quorum(number=2)
    kept = Quorum(number=2, groups={"finance": 2}, veto=True, exclude=["eve"])
    assert terms_of(kept) == kept
