from __future__ import annotations

import json
import subprocess
import sys

import pytest

from layby.cli.entry import app, run
from layby.cli.invocation import Invocation

COMMANDS = (
    *("demo", "dev", "worker", "send", "questions", "answer", "sign"),
    *("runs", "cancel", "retry", "show", "doctor", "dead", "purge", "erase", "migrate"),
    *("decision", "verify", "audit", "provision", "accounts", "keys", "keyring", "version"),
)


def document(capsys: pytest.CaptureFixture[str]) -> object:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Example:" in out
    assert f"layby {name}" in out
    for option in ("--server", "--context", "--json", "--verbose"):
        assert option in out


def test_the_commands_are_all_there() -> None:
    names = {getattr(info.callback, "__name__", "") for info in app.registered_commands}
    names |= {str(each.name) for each in app.registered_groups}
    assert names == set(COMMANDS)


@pytest.mark.parametrize("name", ["list", "show", "retry", "drop"])
def test_the_commands_of_a_group_do_so_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_what_stands_after_the_command_wins() -> None:
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
    assert captured.err.splitlines() == ["error: No such command 'nonsense'", "see: layby --help"]


def test_a_text_after_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["send", "--", "--json", "{"]) == 2
    assert capsys.readouterr().out == ""


def test_the_command_starts_without_anything_heavy() -> None:
    heavy = ["nats", "pydantic", "anthropic", "structlog", "watchfiles", "msgspec", "asyncio"]
    code = f"import sys, layby.cli; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    assert out.stdout.strip() == "[]"
