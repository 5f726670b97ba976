from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from layby.cli.screen import shell

TEXTS = [
    "plain",
    "it's {{ .Count }} $HOME `id` \\n !!",
    'say "yes"',
    "two\nlines",
    "grüße 早安",
    "bell\x07 and escape\x1b[2J",
]


def words(line: str) -> list[str]:
    """What a shell makes of a printed line, program name first."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not on PATH")
    script = f'show() {{ printf "%s\\0" "$@"; }}; show {line}'
    out = subprocess.run([bash, "-c", script], check=True, capture_output=True).stdout  # noqa: S603
    return out.decode().split("\0")[:-1]


@pytest.mark.parametrize("text", TEXTS)
def test_a_pasted_answer_arrives_as_it_was(text: str) -> None:
    line = shell.answer("", "#45 21", text)
    assert words(line)[-3:] == ["answer", "#45 21", text]


@pytest.mark.parametrize("text", TEXTS)
def test_a_pasted_publish_arrives_as_it_was(text: str) -> None:
    line = shell.nats_publish("", "developer.response.T125", {"answer": text})
    *_, subject, body = words(line)
    assert subject == "developer.response.T125"
    assert json.loads(body) == {"answer": text}


def test_printed_commands_have_no_control_characters() -> None:
    assert shell.answer("", "\x1b[2J", "x").isprintable()


def test_text_that_looks_like_an_option_follows_two_dashes() -> None:
    assert words(shell.answer("", "T1", "-no"))[-4:] == ["answer", "--", "T1", "-no"]


def test_the_nats_cli_waits_and_expands_no_templates() -> None:
    line = shell.nats_publish("NATS_URL=nats://h:1 ", "s", {})
    assert line.startswith("NATS_URL=nats://h:1 nats pub -J --no-templates s ")


def test_a_server_with_a_password_is_named_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "url").write_text("nats://layby:secret@h:1\n")
    before = shell.server_in(tmp_path / "a b" / "url")
    assert "secret" not in before
    assert words(f"{before.partition('=')[2]}")[0] == "nats://layby:secret@h:1"
