"""Which question `layby answer` means, and the commands that `layby questions` prints."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from layby.cli.invocation import Invocation
from layby.cli.screen.errors import USAGE, CliError
from layby.cli.screen.question import AnswerCommand, chosen_question, command_for
from layby.views.rows import QuestionRow


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
    command = AnswerCommand(Invocation(), "T1", given.get("reply", "it's"))
    options: dict[str, Any] = {"role": None, "question": None, "reply": "", "ask": False}
    options |= {"command": command, **given}
    found = chosen_question(rows, "T1", **options)
    return found.id if found else ""


def test_the_role_is_that_of_the_open_question() -> None:
    assert means([row("a", role="manager")]) == "a"
    assert means([row("a", role="manager"), row("b")], role="developer") == "b"
    assert means([row("a", status="answered"), row("b", role="legal")]) == "b"
    assert means([]) == ""


def test_a_closed_question_is_chosen_if_none_is_open() -> None:
    assert means([row("a", status="answered"), row("b", status="expired")]) == "b"


def test_several_open_questions_are_listed() -> None:
    with pytest.raises(CliError) as refused:
        means([row("a"), row("b", role="manager")])
    assert refused.value.code == USAGE
    assert "2 questions are open on ticket 'T1'" in refused.value.message
    assert "a  developer, run 3f9a1c07: a?" in refused.value.message
    candidates = refused.value.facts["candidates"]
    assert [each["id"] for each in candidates] == ["a", "b"]
    for each in candidates:
        assert each["command"] in refused.value.message
        assert shlex.split(each["command"])[-4:] == ["--question", each["id"], "T1", "it's"]
    assert means([row("a"), row("b", role="manager")], question="b") == "b"
    with pytest.raises(CliError, match="no question 'c' is open on ticket 'T1'") as closed:
        means([row("a")], question="c")
    assert "a (open)" in closed.value.advice
    assert "`layby decision c`" in closed.value.advice


@pytest.mark.parametrize(
    "reply", ["approve 5f1d0c2a9b34", "Approved  5f1d0c2a9b34", '{"approve": "5f1d0c2a9b34"}']
)
def test_an_approval_with_a_digest_selects_its_question(reply: str) -> None:
    rows = [row("a", digest="092347f88346"), row("b", digest="5f1d0c2a9b34"), row("c")]
    assert means(rows, reply=reply) == "b"
    for other in ("approve", "approve b4cf08e48607", "reject: not 5f1d0c2a9b34", "[1]"):
        with pytest.raises(CliError, match="3 questions are open"):
            means(rows, reply=other)


def test_each_row_has_the_command_that_works_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "layby").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    here = Invocation()
    one = row("a", ticket="it's")
    assert words(one, here) == ["layby", "answer", "--question", "a", "it's", "your answer"]
    approval = row("b", digest="5f1d0c2a9b34", form={"anyOf": []})
    assert words(approval, here)[-2:] == ["T1", "approve 5f1d0c2a9b34"]
    dashed = row("a", ticket="-x", form={"type": "boolean"})
    assert words(dashed, here)[-3:] == ["--", "-x", "yes"]
    assert command_for(row("a", ticket="\x1b[2J"), here).isprintable()


def test_a_printed_command_uses_the_server_and_app_of_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    call = Invocation(server="nats://ada:secret@h:4222", inbox_prefix="_I.ada", prefix="shop")
    assert words(row("a"), call) == [
        *(sys.executable, "-m", "layby"),
        *("--server", "nats://USER:PASSWORD@h:4222"),
        *("--inbox-prefix", "_I.ada", "--prefix", "shop"),
        *("answer", "--question", "a", "T1", "your answer"),
    ]


def test_an_answer_is_repeated_as_one_whole_line() -> None:
    command = AnswerCommand(Invocation(), "-x", "it's done", ("--by", "ada"))
    assert (
        shlex.split(command.line("a", "--responder", "ada"))[-9:]
        == [
            *("answer", "--question", "a", "--by", "ada", "--responder", "ada"),
            *("--", "-x", "it's done"),
        ][-9:]
    )
    piped = AnswerCommand(Invocation(), "T1", "-")
    assert shlex.split(piped.line("a"))[-4:] == ["--question", "a", "T1", "-"]


def words(question: QuestionRow, call: Invocation) -> list[str]:
    return shlex.split(command_for(question, call))
