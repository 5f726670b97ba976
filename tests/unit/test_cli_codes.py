"""docs/operations.md says with which exit code each command ends, and why."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from layby.cli.commands import __path__ as folders
from layby.cli.entry import app_of, run
from layby.cli.screen.errors import FAILED, NO_RECEIPT, OK, SIGNALLED, USAGE, explain

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)
_OWN = re.compile(r"\b(?:FAILED|NO_RECEIPT|worker_commands|target\.acting)\b")
"""What a command's module names that has exit codes of its own."""
_FILES = {"ask_back": "ask-back", "decision": "verify", "pass_on": "pass", "runs": "cancel"}
"""Modules whose commands have other names."""


def section() -> str:
    text = (ROOT / "docs" / "operations.md").read_text()
    return text.partition("\n## Exit codes\n")[2].partition("\n## ")[0]


def rows() -> list[list[str]]:
    return [[cell.strip() for cell in row.split(" | ")] for row in _ROW.findall(section())]


def test_the_codes_are_those_of_the_page() -> None:
    codes = [row[0] for row in rows() if re.fullmatch(r"\d+( \+ \*n\*)?", row[0])]
    assert codes == [str(OK), str(FAILED), str(USAGE), f"{SIGNALLED} + *n*"]
    assert NO_RECEIPT == USAGE
    for name, code in (("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)):
        assert SIGNALLED + getattr(signal, name) == code
        assert str(code) in section()


def test_every_command_with_codes_of_its_own_is_in_the_table() -> None:
    group: Any = get_command(app_of())
    named = {name for row in rows() for name in re.findall(r"`([\w-]+)`", row[0])}
    assert named <= set(group.commands)
    [folder] = folders
    own = {path.stem for path in Path(folder).glob("*.py") if _OWN.search(path.read_text())}
    assert {_FILES.get(stem, stem) for stem in own} <= named


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["version"], OK),
        (["nonsense"], USAGE),
        (["worker", "nowhere:app"], FAILED),
        (["verify", "/nonexistent.json"], FAILED),
        (["exporter", "--metrics-port", "70000"], USAGE),
        (["exporter", "--metrics-port", "0"], FAILED),
        (["worker"], USAGE),
    ],
)
def test_commands_end_with_the_codes_of_the_page(
    arguments: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:1")
    assert run(arguments) == code
    assert capfd.readouterr().err or code == OK


def test_a_signal_is_not_a_failure() -> None:
    assert explain(KeyboardInterrupt()).code == SIGNALLED + signal.SIGINT
