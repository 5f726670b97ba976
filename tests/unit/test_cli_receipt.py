"""The receipt that `layby answer` prints, and the names under which people may answer."""

from __future__ import annotations

from typing import Any

import pytest

from layby.actors.people.answer import Candidate, Receipt
from layby.cli.invocation import Invocation
from layby.cli.screen.errors import USAGE, UsageError
from layby.cli.screen.question import AnswerCommand
from layby.cli.screen.receipt import checked_name, print_receipt


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    def out(outcome: Any, **fields: Any) -> list[str]:
        command = AnswerCommand(Invocation(), "T1", "yes")
        print_receipt(Receipt(outcome=outcome, ticket="T1", **fields), command)
        return capsys.readouterr().out.splitlines()

    return out


def test_a_receipt_says_what_became_of_it_and_of_which_question(printed: Any) -> None:
    assert printed("accepted", question="q1", by="ada") == ["accepted  T1  question q1  by ada"]
    assert printed("unknown_ticket") == ["unknown ticket  T1"]


def test_a_refusal_says_why_on_the_line_below(printed: Any) -> None:
    head, why = printed("too_late", by="bob", reason="bob was\nfirst")
    assert head == "too late  T1  by bob"
    assert why == "bob was first"


def test_a_reply_to_what_was_asked_back_keeps_its_lines(printed: Any) -> None:
    assert printed("replied", reply="one\ntwo\x1b[2J")[1:] == ["one", "two\\x1b[2J"]


def test_an_ambiguous_answer_shows_the_command_for_each_question(printed: Any) -> None:
    candidates = tuple(
        Candidate(id=name, question=f"{name}? " + "x" * 200, run="r", deadline="d")
        for name in ("q1", "q2")
    )
    _, first, command, second, _ = printed("ambiguous", candidates=candidates)
    assert first.startswith("  q1  q1?")
    assert first.endswith("…")
    assert len(first) <= 110
    assert command.endswith("answer --question q1 T1 yes")
    assert second.startswith("  q2  q2?")


@pytest.mark.parametrize("name", ["ada", "Ada-2", None])
def test_a_word_of_a_subject_can_be_a_name(name: str | None) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "ada.*", "ada lovelace", "ada.b", ">"])
def test_another_name_is_refused_with_what_to_use(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be used as a name in a subject") as refused:
        checked_name(name)
    assert refused.value.code == USAGE
    assert refused.value.advice == "use letters, digits, _ and - only"
