from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest
from typer.main import get_command

from layby.cli.entry import app_of, modules_for, run
from layby.cli.invocation import Invocation

COMMANDS = (
    *("demo", "dev", "console", "worker", "send", "questions", "answer", "sign", "rota"),
    *("claim", "pass", "decline", "ask-back", "exporter", "notify", "deploy"),
    *("runs", "cancel", "retry", "show", "doctor", "dead", "purge", "erase", "migrate"),
    *(
        "decision",
        "verify",
        "audit",
        "provision",
        "backup",
        "restore",
        "standby",
        "accounts",
        "keys",
        "keyring",
        "token",
        "version",
    ),
)


def document(capsys: pytest.CaptureFixture[str]) -> object:
    return json.loads(capsys.readouterr().out)


KINDS = ("person", "sender", "bridge", "notifier", "observer", "operator")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Example:" in out
    assert f"layby {name}" in out
    for option in ("--server", "--context", "--json", "--verbose"):
        assert option in out


def test_the_version_is_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"layby {metadata.version('layby')}\n"


def test_all_commands_are_registered() -> None:
    app = app_of()
    commands = app.registered_commands
    names = {each.name or getattr(each.callback, "__name__", "") for each in commands}
    names |= {str(each.name) for each in app.registered_groups}
    assert names == set(COMMANDS)


@pytest.mark.parametrize("before", [(), ("--json", "-s", "runs", "--prefix", "--json")])
def test_a_command_is_found_without_the_others(before: tuple[str, ...]) -> None:
    for name in COMMANDS:
        modules = modules_for([*before, name, "show"])
        assert len(modules) == 1
        group: Any = get_command(app_of(modules))
        assert name in group.commands


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help"], ["-s", "runs"], ["--server=x", "runs"], ["rnus"], ["--no", "runs"]],
)
def test_what_calls_no_command_for_certain_gets_all(arguments: list[str]) -> None:
    assert modules_for(arguments) == modules_for([])


@pytest.mark.parametrize("name", ["list", "show", "retry", "drop"])
def test_the_commands_of_a_group_have_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dead", name, "--help"]) == 0
    assert f"layby dead {name}" in capsys.readouterr().out


def test_a_group_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dead"]) == 0
    assert "retry" in capsys.readouterr().out


def test_help_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "layby demo" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--json", "version"], ["version", "--json"]])
def test_global_options_stand_before_or_after_the_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 0
    assert isinstance(document(capsys), dict)


def test_options_after_the_command_win() -> None:
    before = Invocation(server="nats://a:1", context="c", json=True)
    merged = before.merged(Invocation(server="nats://b:1", verbose=True))
    assert merged == Invocation(server="nats://b:1", context="c", json=True, verbose=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["runs", "--nonsense"],
        ["answer", "T125"],
        ["runs", "--limit", "0"],
        ["runs", "--status", "asleep"],
        ["send", "a.b", "{not json"],
        ["answer", "T125", "  "],
        ["answer", "T125", "yes", "--timeout", "soon"],
        ["answer", "T125", "yes", "--responder", "ada.*"],
        ["answer", "T125", "yes", "--responder", ""],
        ["audit", "--verb", "frobnicate"],
        ["dead", "retry", "0"],
        ["purge", "--older-than", "soon"],
        ["dead", "show", "first"],
        ["demo", "--ticket", "T999"],
        ["demo", "--deadline", "soon"],
        ["questions", "--watch"],
        ["dev", "no-module"],
        ["worker", "module/path.py:app"],
    ],
)
def test_a_wrong_command_line_is_one_json_document_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:1")
    assert run([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["type"]
    assert error["message"]
    assert "Traceback" not in captured.err


def test_without_json_an_error_leaves_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nonsense"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["error: no such command 'nonsense'", "see: layby --help"]


def test_text_after_two_dashes_is_not_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["send", "--", "--json", "{"]) == 2
    assert capsys.readouterr().out == ""


def test_the_command_starts_without_heavy_imports() -> None:
    heavy = ["nats", "pydantic", "anthropic", "structlog", "watchfiles", "msgspec", "asyncio"]
    code = f"import sys, layby.cli; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dead", "show", "x"], "ID must be a whole number"),
        (["dead", "drop", "0"], "ID must be 1 or more"),
        (["runs", "--limit", "x"], "--limit must be a whole number"),
        (["dev", "shop:app", "--port", "70000"], "--port must be 65535 or less"),
        (
            ["accounts", "add", "logins", "eve", "--as", "boss"],
            "--as must be one of " + ", ".join(map(repr, (*KINDS, "backup", "restorer", "link"))),
        ),
        (["show"], "missing argument 'RUN'"),
        (["runs", "--nonsense"], "no such option: --nonsense"),
        (["runs", "--since"], "option '--since' requires an argument"),
    ],
)
def test_parser_errors_read_like_other_errors(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    first, advice, *more = capsys.readouterr().err.splitlines()
    assert first == f"error: {message}"
    assert advice.startswith("see: layby ")
    assert more == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("soon", "the duration 'soon' cannot be read"),
        ("5", "the duration '5' does not say its unit"),
        ("0s", "the duration '0s' must be more than zero"),
        ("200000w", "the duration '200000w' is over 100 years"),
    ],
)
def test_a_wrong_duration_is_explained_without_python(
    value: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["runs", "--since", value]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: {reason}",
        "write a number and a unit, such as 250ms, 10s, 5m, 1h30m or 7d",
    ]


_MEANINGS = {
    "--as": 2,  # the name to record, and the kind of a login
    "--by": 2,  # the name to record, and the name in a role's keys
    "--data": 2,  # of the demo, and of the embedded server
    "--named-only": 2,  # chosen, and changed
    "--person": 2,  # who gets a login, and whose key is destroyed
    "--role": 4,  # to filter by, to answer for, of a login, and of a token
    "--responder": 2,  # of an answer, which may have none, and of what always has one
    "--run": 2,  # to find, and to destroy the key of
    "--port": 2,  # of the embedded server, and of the console
    "--status": 2,  # any, and those that can be retried
    "--ticket": 2,  # to filter by, and to play
}
"""How many meanings an option has, if more than one."""


def test_an_option_has_the_same_help_everywhere() -> None:
    found: dict[str, set[str]] = {}
    for command in _commands(get_command(app_of())):
        for parameter in command.params:
            names: list[str] = parameter.opts
            for name in names:
                if name.startswith("--"):
                    found.setdefault(name, set()).add(str(getattr(parameter, "help", "")))
    assert {name: len(texts) for name, texts in found.items() if len(texts) > 1} == _MEANINGS


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from _commands(each)


def test_help_is_in_one_style() -> None:
    for command in _commands(get_command(app_of())):
        first = command.get_short_help_str(200)
        if command.name != "layby":
            assert len(first) <= 67, first
            assert first.endswith("."), first
        assert not re.search(r"\b(whoever|amid|any more|mend)", command.help or ""), first
        for parameter in (each for each in command.params if not getattr(each, "hidden", False)):
            text = str(getattr(parameter, "help", ""))
            assert text[:1].isupper(), f"{command.name} {parameter.name}: {text}"
            assert text.endswith("."), f"{command.name} {parameter.name}: {text}"
