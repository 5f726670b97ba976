"""How commands find a server, and what they say where they do not."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from layby.bus.settings import without_credentials
from layby.cli.process.local_server import advertised, local_server_url
from tests.command import Command
from tests.fix_layby import APP, WITHIN, Desk, left_over
from tests.fix_nats import eventually

ADA = {"NATS_USER": "ada", "NATS_PASSWORD": "x"}

pytestmark = pytest.mark.timeout(240)

NOBODY = "nats://127.0.0.1:1"
STRICT = """
authorization {
  users = [
    { user: admin, password: x }
    { user: ada, password: x, permissions {
      publish { allow: ["developer.response.*.ada", "$JS.API.DIRECT.GET.>"] }
      subscribe { allow: ["_INBOX_ada.>"] }
    } }
  ]
}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "desk.py").write_text(APP)
    return Desk(tmp_path, NOBODY)


def without_url(desk: Desk) -> dict[str, str]:
    return {name: text for name, text in desk.environ.items() if name != "NATS_URL"}


def stderr_of(desk: Desk, *arguments: str, environ: dict[str, str] | None = None) -> str:
    done = desk.run(*arguments, environ=environ)
    assert done.returncode == 1, done.stdout + done.stderr
    return " ".join(done.stderr.split())


# -- advice ------------------------------------------------------------------------------------


def test_advice_names_the_option_that_was_given(desk: Desk) -> None:
    output = stderr_of(desk, "runs", "-s", NOBODY, environ=without_url(desk))
    assert "(from --server)" in output
    assert "Correct --server." in output
    assert "NATS_URL" not in output


def test_advice_names_the_variable_that_is_set(desk: Desk) -> None:
    assert "Correct NATS_URL, or unset it" in stderr_of(desk, "runs")


@pytest.mark.parametrize(
    "arguments", [["runs"], ["provision", "desk:app"], ["worker", "desk:app"], ["doctor"]]
)
def test_the_stale_address_of_a_killed_dev_server_is_explained(
    desk: Desk, arguments: list[str]
) -> None:
    (desk.folder / ".layby").mkdir()
    (desk.folder / ".layby" / "url").write_text(f"{NOBODY}\n")
    output = stderr_of(desk, *arguments, environ=without_url(desk))
    assert f"Cannot connect to {NOBODY} (from .layby/url)" in output
    assert "start it again, or name another server with --server or NATS_URL" in output


# -- dev servers -------------------------------------------------------------------------------


@contextmanager
def dev(desk: Desk, *options: str) -> Generator[tuple[str, Command]]:
    """`layby dev`, once its worker is ready, and its server's address."""
    process = Command(
        ["dev", "desk:app", *options],
        folder=desk.folder,
        environ={**without_url(desk), "PYTHONUNBUFFERED": "1"},
    )
    try:
        words = (word for line in process.stdout for word in line.split())
        yield next(word for word in words if word.startswith("nats://")), process
    finally:
        process.close()


@pytest.mark.slow
def test_every_command_finds_the_dev_server(desk: Desk) -> None:
    talks = "from layby import App\nfrom layby.history import nats_history\n"
    (desk.folder / "talks.py").write_text(f"{talks}app = App('talks', history=nats_history())\n")
    with dev(desk) as (_, process):
        for arguments in (
            ["provision", "talks:app"],
            ["runs"],
            ["questions"],
            ["dead", "list"],
        ):
            done = desk.run(*arguments, environ=without_url(desk))
            assert done.returncode == 0, (arguments, done.stderr)
        stored = desk.run("erase", "talks:app", "T1", environ=without_url(desk))
        assert (stored.returncode, "is stored as number 1" in stored.stderr) == (2, True)
        process.send_signal(signal.SIGINT)
        process.wait(WITHIN)
    assert left_over(desk.folder) == []


def test_two_dev_servers_in_a_folder_leave_each_other_alone(desk: Desk) -> None:
    file = desk.folder / ".layby" / "url"
    with dev(desk) as (first, _):
        with dev(desk, "--data", "other") as (second, process):
            assert first != second
            assert without_credentials(file.read_text()) == f"{first}\n"
            process.send_signal(signal.SIGINT)
            _, output = process.communicate(timeout=WITHIN)
        assert f"commands use {first}" in " ".join(output.split())
        assert without_credentials(file.read_text()) == f"{first}\n"


def test_a_server_replaces_one_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".layby").mkdir()
    (tmp_path / ".layby" / "url").write_text("nats://127.0.0.1:1\n")
    with advertised("nats://127.0.0.1:2") as other:
        assert other is None
        assert local_server_url() == "nats://127.0.0.1:2"
    assert local_server_url() is None


async def test_the_next_server_of_a_folder_is_found_when_the_first_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = advertised("nats://127.0.0.1:1")
    first.__enter__()
    with advertised("nats://127.0.0.1:2") as other:
        assert other == "nats://127.0.0.1:1"
        first.__exit__(None, None, None)
        await eventually(lambda: local_server_url() == "nats://127.0.0.1:2", 10)
    assert local_server_url() is None


# -- permissions -------------------------------------------------------------------------------


@pytest.fixture
async def strict(tmp_path: Path, desk: Desk) -> AsyncIterator[str]:
    async with EmbeddedServer(tmp_path / "nats", extra=STRICT) as server:
        desk.url = server.url
        yield server.url


async def run(desk: Desk, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(desk.run, *arguments, environ={**desk.environ, **environ})


@pytest.mark.usefixtures("strict")
async def test_a_refused_inbox_is_reported_at_once_with_advice(desk: Desk) -> None:
    done = await run(desk, "questions", **ADA)
    output = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert 'does not let this user (user "ada") receive replies on _INBOX.>' in output
    assert "NATS_INBOX_PREFIX, --inbox-prefix" in output


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("by_option", [True, False])
async def test_the_inbox_prefix_can_be_named(desk: Desk, *, by_option: bool) -> None:
    more = ["--inbox-prefix", "_INBOX_ada"] if by_option else []
    environ = {} if by_option else {"NATS_INBOX_PREFIX": "_INBOX_ada"}
    done = await run(desk, "questions", *more, **ADA, **environ)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("strict")
async def test_a_user_with_one_name_only_gets_advice(desk: Desk) -> None:
    done = await run(desk, "answer", "T1", "yes", **ADA, NATS_INBOX_PREFIX="_INBOX_ada")
    output = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "developer.response.T1" in output
    assert "layby answer --responder ada T1 yes" in output
    assert "permission_denied" not in output  # it is reported once


@pytest.mark.usefixtures("strict")
async def test_doctor_does_not_advise_a_user_without_rights_to_enable_jetstream(desk: Desk) -> None:
    done = await run(desk, "doctor", "--json", **ADA, NATS_INBOX_PREFIX="_INBOX_ada")
    findings = {each["subject"]: each for each in json.loads(done.stdout)}
    assert "JetStream" not in findings
    assert "$JS.API.INFO" in findings["permissions"]["message"]
    assert "observer" in findings["permissions"]["advice"]


# -- doctor, replicas --------------------------------------------------------------------------


async def test_doctor_warns_of_one_copy_and_of_no_login(
    desk: Desk, own_server: EmbeddedServer
) -> None:
    desk.url = own_server.url
    assert (await run(desk, "provision", "desk:app")).returncode == 0
    findings = {e["subject"]: e for e in json.loads((await run(desk, "doctor", "--json")).stdout)}
    assert findings["replicas"]["level"] == "warn"
    assert findings["authorisation"]["level"] == "warn"
    assert "power cut" in findings["sync_interval"]["message"]


async def test_too_many_copies_of_existing_streams_are_an_error(
    desk: Desk, own_server: EmbeddedServer
) -> None:
    desk.url = own_server.url
    assert (await run(desk, "provision", "desk:app")).returncode == 0
    done = await run(desk, "provision", "desk:app", "--replicas", "3")
    assert done.returncode == 1
    assert "keeps 1 copy and cannot have 3" in " ".join(done.stderr.split())


def test_dev_prints_the_prefix_of_the_app_in_what_to_try(desk: Desk) -> None:
    (desk.folder / "desk.py").write_text(APP.replace('App("desk")', 'App("desk", prefix="shop")'))
    with dev(desk) as (_, process):
        assert process.stdout is not None
        tried = next(line for line in process.stdout if "questions" in line)
    assert "--prefix shop questions --watch" in tried
