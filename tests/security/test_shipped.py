"""What deploy/ ships is what the command writes for the example app."""

from __future__ import annotations

from pathlib import Path

import pytest

from layby.cli.entry import run

DEPLOY = Path(__file__).parents[2] / "deploy"
APP = "examples.support_agent:app"


@pytest.mark.parametrize(
    ("name", "options"), [("accounts.conf", []), ("permissions.conf", ["--one-account"])]
)
def test_the_shipped_file_is_what_the_command_writes(
    name: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["accounts", "config", APP, *options]) == 0
    assert capsys.readouterr().out == (DEPLOY / name).read_text(), (
        f"write it again: layby accounts config {APP} {' '.join(options)} > deploy/{name}"
    )


@pytest.mark.parametrize("name", ["accounts.conf", "permissions.conf"])
def test_the_head_of_a_shipped_file_says_how_the_server_takes_it(name: str) -> None:
    written = (DEPLOY / name).read_text()
    head = written.split("\n\n")[0]
    assert f'include "{name}"' in head
    assert "authorization" not in head, "nats-server.conf has no such block"
    assert 'include "accounts.conf"' in (DEPLOY / "nats-server.conf").read_text().splitlines()


def test_everybody_with_a_login_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    people = ["--person", "ada=developer", "--person", "bob", "--sender", "shop"]
    assert run(["accounts", "config", APP, *people, "--named-only"]) == 0
    written = capsys.readouterr().out
    assert "--person ada=developer --person bob --sender shop --named-only" in written
    for login in ("ada", "bob", "shop", "observer", "operator"):
        assert f"user: {login}, password: $LAYBY_{login.upper()}_PASSWORD" in written
    assert "user: helpdesk" not in written
    assert '"developer.response.*"' not in written


@pytest.mark.parametrize(
    "options", [["--person", "a.b"], ["--person", "ada", "--sender", "ada"], ["--sender", "worker"]]
)
def test_a_login_that_cannot_be_is_refused(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["accounts", "config", APP, *options]) != 0
    assert "login" in capsys.readouterr().err


def test_a_role_that_the_app_lacks_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["accounts", "config", APP, "--person", "ada=boss"]) != 0
    assert "boss" in capsys.readouterr().err


def test_how_many_connections_outsiders_may_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["accounts", "config", APP, "--max-connections", "7"]) == 0
    written = capsys.readouterr().out
    assert written.count("max_connections: 7,") == 5
    assert f"config {APP} --max-connections 7" in written
    assert run(["accounts", "config", APP, "--max-connections", "7", "--one-account"]) != 0
    assert "--one-account" in capsys.readouterr().err
