"""Which question `layby answer` means, and the commands that `layby questions` prints."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from layby.cli.errors import USAGE, CliError
from layby.cli.question import chosen, command_for
from layby.rows import QuestionRow


def row(ref: str, **more: Any) -> QuestionRow:
    known: dict[str, Any] = {
        "id": ref,
        "ticket": "T1",
        "role": "developer",
        "question": f"{ref}?",
        "context": "",
        "agent": "",
        "run": "3f9a1c07be5522d804aa",
        "asked_at": "2026-11-22T08:59:26.499Z",
        "deadline": "2026-11-22T12:59:26.499Z",
    }
    return QuestionRow(**{**known, **more})


def means(rows: list[QuestionRow], **given: Any) -> str:
    options: dict[str, Any] = {"role": None, "question": None, "reply": "", "ask": False, **given}
    found = chosen(rows, "T1", **options)
    return found.id if found else ""


def test_the_role_is_found_by_itself() -> None:
    assert means([row("a", role="manager")]) == "a"
    assert means([row("a", role="manager"), row("b")], role="developer") == "b"
    assert means([row("a", status="answered"), row("b", role="legal")]) == "b"
    assert means([]) == ""


def test_a_closed_question_is_meant_where_no_other_is_there() -> None:
    assert means([row("a", status="answered"), row("b", status="expired")]) == "b"


def test_several_open_questions_are_listed() -> None:
    with pytest.raises(CliError) as refused:
        means([row("a"), row("b", role="manager")])
    assert refused.value.code == USAGE
    assert "2 questions are open on ticket 'T1'" in refused.value.message
    assert "a  developer, run 3f9a1c07: a?" in refused.value.message
    assert [each["id"] for each in refused.value.facts["candidates"]] == ["a", "b"]
    assert means([row("a"), row("b", role="manager")], question="b") == "b"
    with pytest.raises(CliError, match="question 'c' is not on ticket 'T1'"):
        means([row("a")], question="c")


@pytest.mark.parametrize(
    "reply", ["approve 5f1d0c2a9b34", "Approved  5f1d0c2a9b34", '{"approve": "5f1d0c2a9b34"}']
)
def test_an_approval_with_a_digest_says_which_question_it_means(reply: str) -> None:
    rows = [row("a", digest="092347f88346"), row("b", digest="5f1d0c2a9b34"), row("c")]
    assert means(rows, reply=reply) == "b"
    for other in ("approve", "approve b4cf08e48607", "reject: not 5f1d0c2a9b34", "[1]"):
        with pytest.raises(CliError, match="3 questions are open"):
            means(rows, reply=other)


def test_each_row_has_the_command_that_works_for_it() -> None:
    one = row("a", ticket="it's")
    assert shlex.split(command_for(one, [one])) == ["layby", "answer", "it's", "your answer"]
    first, second = row("a"), row("b", digest="5f1d0c2a9b34", form={"anyOf": []})
    assert command_for(first, [first, second]).startswith("layby answer T1 --question a ")
    assert command_for(second, [first, second]).endswith("--question b 'approve 5f1d0c2a9b34'")
    ticket = row("a", ticket="-x", form={"type": "boolean"})
    assert shlex.split(command_for(ticket, [ticket])) == ["layby", "answer", "--", "-x", "yes"]
