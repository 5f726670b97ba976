"""How commands find the server: named, of `layby dev` in this folder, or the default address."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from layby.bus.settings import ConnectionSettings
from layby.cli.invocation import Invocation
from layby.cli.process.child_connection import inherited_connection
from layby.cli.process.local_server import FILE, FOLDER, advertised, local_server_url
from layby.cli.screen.errors import CliError
from layby.cli.target.connection import named_settings, reachable_settings, required_settings

OURS = "nats://layby:secret@127.0.0.1:4333"
THEIRS = "nats://127.0.0.1:4444"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("NATS_URL", "NATS_CONTEXT", "NATS_TIMEOUT", "NATS_INBOX_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_a_server_is_found_while_it_is_advertised_and_only_by_its_owner() -> None:
    assert local_server_url() is None
    with advertised(OURS) as other:
        assert other is None
        assert local_server_url() == OURS
        assert FILE.stat().st_mode & 0o077 == 0
    assert local_server_url() is None
    assert not FILE.exists()


def test_what_a_killed_server_left_behind_is_taken_over() -> None:
    FOLDER.mkdir()
    FILE.write_text("nats://a-longer-address-of-one-that-was-killed:1\n")
    with advertised(OURS) as other:
        assert other is None
        assert local_server_url() == OURS


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe"])
def test_a_file_without_an_address_names_no_server(content: bytes) -> None:
    FOLDER.mkdir()
    FILE.write_bytes(content)
    assert local_server_url() is None


def test_the_second_server_is_told_of_the_first_which_stays_the_one_that_is_found() -> None:
    with advertised(OURS), advertised(THEIRS) as first:
        assert first == OURS
        assert local_server_url() == OURS


def test_the_second_server_is_found_once_the_first_has_stopped() -> None:
    first = advertised(OURS)
    first.__enter__()
    with advertised(THEIRS):
        first.__exit__(None, None, None)
        found = threading.Event()

        def look() -> None:
            while local_server_url() != THEIRS:
                if found.wait(0.01):
                    return
            found.set()

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        assert found.wait(20)
    assert local_server_url() is None


def test_a_folder_that_cannot_be_written_to_is_no_error(folder: Path) -> None:
    (folder / FOLDER).write_text("a file in its place")
    with advertised(OURS) as other:
        assert other is None
        assert local_server_url() is None


def test_the_file_is_locked_as_long_as_the_server_runs() -> None:
    with advertised(OURS), FILE.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_server_of_this_folder_is_used_unless_one_is_named() -> None:
    with advertised(OURS):
        settings = named_settings(Invocation())
        assert (settings.servers, settings.source) == ((OURS,), str(FILE))
        assert "layby dev" in settings.advice
        assert named_settings(Invocation(server=THEIRS)).servers == (THEIRS,)


def test_a_worker_needs_a_server_that_is_named() -> None:
    with pytest.raises(CliError, match="no NATS server is named") as refused:
        required_settings(Invocation(), "shop:app")
    assert refused.value.kind == "NoServerNamed"
    assert "`layby dev shop:app`" in refused.value.advice
    assert required_settings(Invocation(server=THEIRS), "shop:app").servers == (THEIRS,)


def test_other_commands_try_the_default_address_and_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = reachable_settings(Invocation())
    assert (settings.servers, settings.source) == (("nats://127.0.0.1:4222",), "the default")
    assert settings.timeout < ConnectionSettings().timeout
    assert reachable_settings(Invocation(server=THEIRS)).servers == (THEIRS,)
    monkeypatch.setenv("NATS_TIMEOUT", "7s")
    assert reachable_settings(Invocation()).timeout == 7


def test_a_worker_that_is_started_gets_the_same_options_and_shows_no_password() -> None:
    call = Invocation(server="nats://ada:pw@h:1", inbox_prefix="_INBOX_ada")
    child = inherited_connection(call, call.settings())
    assert child.options == ("--server", "nats://ada:pw@h:1", "--inbox-prefix", "_INBOX_ada")
    assert "pw" not in child.url + child.named
    assert child.named == f"-s {child.url} "
    assert child.before == ""
    assert inherited_connection(Invocation(), ConnectionSettings(servers=(THEIRS,))).options == ()
