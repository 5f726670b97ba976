"""What the campaign `votes` holds Layby against: who wins by the stream of answers alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from layby.runtime.entry import Voted
from layby.runtime.state import Question
from tests.chaos.ballots import Asked, Cast, ruled
from tests.chaos.crowd import Poll
from tests.chaos.polls import counted, decided

TWO = Poll(role="finance", number=2)
EACH = Poll(role="finance", groups={"finance": 1, "legal": 1})


def asked(poll: Poll = TWO) -> Asked:
    return Asked("q1", dict.fromkeys(poll.roles, 10.0), 20.0, poll)


def cast(seq: int, by: str, text: str, role: str = "finance", at: float = 11.0) -> Cast:
    return Cast(seq, role, by, at, json.dumps({"answer": text, "questionId": "q1"}).encode())


def outcomes(poll: Poll, *casts: Cast) -> list[str]:
    return [ruling.outcome for _, ruling in sorted(ruled([asked(poll)], casts).items())]


@pytest.mark.parametrize(
    ("poll", "casts", "wanted"),
    [
        (TWO, [(1, "ada", "yes"), (2, "ada", "yes")], ["counted", "already_voted"]),
        (TWO, [(1, "ada", "yes"), (2, "bob", "yes")], ["counted", "accepted"]),
        (TWO, [(1, "ada", "yes"), (2, "dan", "yes")], ["counted", "invalid"]),
        (TWO, [(1, "", "yes"), (2, "ada", "perhaps")], ["invalid", "invalid"]),
        (
            TWO,
            [(1, "ada", "yes"), (2, "bob", "yes"), (3, "cleo", "no")],
            ["counted", "accepted", "already_answered"],
        ),
        (Poll(role="finance", number=2, veto=True), [(1, "ada", "no")], ["accepted"]),
        (Poll(role="finance", number=2, exclude=["ada"]), [(1, "ada", "yes")], ["invalid"]),
        (EACH, [(1, "ada", "yes"), (2, "bob", "yes")], ["counted", "counted"]),
        (EACH, [(1, "ada", "yes"), (2, "dan", "yes", "legal")], ["counted", "accepted"]),
        (EACH, [(1, "ada", "yes"), (2, "ada", "yes", "legal")], ["counted", "already_voted"]),
        (TWO, [(1, "ada", "yes", "legal")], ["unknown_ticket or invalid"]),
        (TWO, [(1, "ada", "yes", "finance", 20.5)], ["too_late"]),
    ],
)
def test_an_answer_is_ruled_by_its_place(
    poll: Poll, casts: list[tuple[Any, ...]], wanted: list[str]
) -> None:
    assert outcomes(poll, *(cast(*each) for each in casts)) == wanted


def test_a_question_ends_when_no_choice_can_win() -> None:
    one = asked(Poll(role="finance", number=3))
    ruled([one], [cast(1, "ada", "yes"), cast(2, "bob", "no"), cast(3, "cleo", "no")])
    assert one.status == "open"
    ruled([one], [cast(4, "gus", "yes")])
    assert (one.status, one.seq) == ("no_quorum", 4)


def log(*votes: tuple[int, str]) -> list[Voted]:
    about: dict[str, Any] = {"id": "q1", "role": "finance", "text": "yes", "vouched": "nats"}
    return [Voted(seq=seq, by=by, at=11.0, **about) for seq, by in votes]


SENT = [cast(n, by, "yes") for n, by in enumerate(["ada", "ada", "mallory", "bob", "cleo"], 1)]


@pytest.mark.parametrize(
    ("votes", "kinds"),
    [
        ([(1, "ada"), (4, "bob")], set[str]()),
        ([(1, "ada"), (2, "ada")], {"one person voted twice", "votes out of order"}),
        ([(1, "ada"), (3, "mallory")], {"vote without a right", "votes out of order"}),
        ([(1, "ada"), (4, "bob"), (5, "cleo")], {"vote after the close", "votes out of order"}),
        ([(4, "bob"), (1, "ada")], {"votes out of order"}),
        ([(1, "ada")], {"vote lost"}),
    ],
)
def test_a_log_with_other_votes_than_count_is_found(
    votes: list[tuple[int, str]], kinds: set[str]
) -> None:
    one = asked()
    rulings = ruled([one], SENT)
    found = {each.kind for each in counted(one, log(*votes), rulings)}
    assert found == kinds


@pytest.mark.parametrize(
    ("status", "seq", "by", "kinds"),
    [
        ("answered", 4, "ada, bob", []),
        ("answered", 5, "ada, cleo", ["wrong decision"]),
        ("answered", 4, "ada", ["wrong decision"]),
        ("expired", 0, "", ["wrong decision"]),
    ],
)
def test_another_decision_than_the_votes_make_is_found(
    status: str, seq: int, by: str, kinds: list[str]
) -> None:
    one = asked()
    rulings = ruled([one], SENT)
    question = Question(id="q1", frame="f", key="k", role="finance", question="?")
    question.status, question.seq, question.by = status, seq, by
    assert [each.kind for each in decided(one, question, rulings)] == kinds
