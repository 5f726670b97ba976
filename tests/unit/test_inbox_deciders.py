"""Who decided a question, by the receipts of its answers: the inbox and its history name them."""

from __future__ import annotations

import msgspec
import pytest

from layby.console.pages.inbox_source import Answer, Thread
from layby.runtime.quorum import Quorum
from tests.unit.test_catalogue_questions import row


def vote(by: str, reason: str, outcome: str = "counted") -> Answer:
    return Answer(outcome=outcome, by=by, reason=reason)


def thread(*answers: Answer, number: int = 2) -> Thread:
    question = msgspec.structs.replace(row(), quorum=Quorum(number=number) if number > 1 else None)
    return Thread(question=question, status="answered", answers=answers)


def test_all_who_voted_for_what_was_decided_are_named_and_nobody_else() -> None:
    found = thread(
        vote("ada", "1 of 3 for 'yes'"),
        vote("eve", "1 of 3 for 'no'"),
        vote("bob", "2 of 3 for 'yes'"),
        vote("ada", "ada has voted", "already_voted"),
        vote("dan", "3 of 3 for 'yes'", "accepted"),
        vote("zoe", "it is closed", "already_answered"),
        number=3,
    )
    assert found.deciders == ("ada", "bob", "dan")


def test_choices_that_contain_the_words_of_a_receipt_are_not_mixed_up() -> None:
    found = thread(
        vote("eve", "1 of 2 for 'pay for b'"),
        vote("ada", "1 of 2 for 'wait for b'"),
        vote("bob", "2 of 2 for 'wait for b'", "accepted"),
    )
    assert found.deciders == ("ada", "bob")


@pytest.mark.parametrize(("by", "named"), [("dan", ("dan",)), ("", ())])
def test_one_answer_that_decides_alone_names_who_gave_it(by: str, named: tuple[str, ...]) -> None:
    refused = vote("eve", "", "invalid")
    assert thread(refused, vote(by, "", "accepted"), number=1).deciders == named


def test_nobody_has_decided_what_is_open() -> None:
    assert thread(vote("ada", "1 of 2 for 'yes'")).deciders == ()
