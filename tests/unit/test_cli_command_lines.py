"""The commands that Layby prints for people to paste: same server, same app, no password."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from layby.cli.invocation import Invocation
from layby.cli.screen import shell
from layby.cli.screen.question import AnswerCommand


@pytest.fixture(autouse=True)
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "layby").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_an_installation_that_is_not_on_the_path_is_called_by_its_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert shell.layby() == "layby"
    monkeypatch.setenv("PATH", "")
    assert shlex.split(shell.layby()) == [sys.executable, "-m", "layby"]


def test_a_plain_call_has_only_the_words() -> None:
    assert shell.command_line(Invocation(), ["runs"]) == "layby runs"


def test_the_options_of_the_call_are_repeated() -> None:
    call = Invocation(context="prod", inbox_prefix="_INBOX_ada", prefix="shop")
    line = shell.command_line(call, ["show", "it's"])
    assert shlex.split(line) == [
        *("layby", "--context", "prod", "--inbox-prefix", "_INBOX_ada"),
        *("--prefix", "shop", "show", "it's"),
    ]


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        ("nats://ada:pw@h:1", "nats://USER:PASSWORD@h:1"),
        ("nats://token@h:1", "nats://USER:PASSWORD@h:1"),
        ("ada:pw@h:1", "USER:PASSWORD@h:1"),
        ("nats://a:b@h:1,nats://c:d@i:1", "nats://USER:PASSWORD@h:1,nats://USER:PASSWORD@i:1"),
        ("nats://a:b@h:1,c:d@i:1", "nats://USER:PASSWORD@h:1,USER:PASSWORD@i:1"),
        ("nats://h:1,nats://i:1", "nats://h:1,nats://i:1"),
    ],
)
def test_a_password_in_the_address_is_not_repeated(server: str, shown: str) -> None:
    line = shell.command_line(Invocation(server=server), ["runs"])
    assert shlex.split(line) == ["layby", "--server", shown, "runs"]


@pytest.mark.parametrize(
    ("ticket", "reply", "words"),
    [
        ("T1", "yes", ["answer", "--question", "q1", "--role", "lead", "T1", "yes"]),
        ("T1", "", ["answer", "--question", "q1", "--role", "lead", "T1"]),
        ("T1", "-no", ["answer", "--question", "q1", "--role", "lead", "--", "T1", "-no"]),
        ("-1", "yes", ["answer", "--question", "q1", "--role", "lead", "--", "-1", "yes"]),
        ("T1", "-", ["answer", "--question", "q1", "--role", "lead", "T1", "-"]),
    ],
)
def test_an_answer_is_repeated_for_one_question(ticket: str, reply: str, words: list[str]) -> None:
    command = AnswerCommand(Invocation(), ticket, reply, ("--role", "lead"))
    assert shlex.split(command.line("q1"))[1:] == words


def test_an_act_is_repeated_with_its_verb_and_further_options() -> None:
    command = AnswerCommand(Invocation(), "T1", "", verb="claim")
    assert shlex.split(command.line("", "--for", "10m")) == ["layby", "claim", "--for", "10m", "T1"]


def test_headers_of_a_publish_stand_before_its_subject() -> None:
    line = shell.nats_publish("", "a.b", {}, {"Nats-Msg-Id": "1 2", "X": "y"})
    assert shlex.split(line)[4:] == ["-H", "Nats-Msg-Id:1 2", "-H", "X:y", "a.b", "{}"]


def test_a_file_elsewhere_is_named_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert shell.server_in(tmp_path / "here" / ".layby" / "url") == 'NATS_URL="$(cat .layby/url)" '
    assert str(tmp_path / "url") in shell.server_in(tmp_path / "url")
