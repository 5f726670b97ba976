"""`layby keyring`: keys are made, looked at and changed while a worker runs and people think."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.fix_layby import APP, Desk

pytestmark = pytest.mark.nats

ENCRYPTED = APP.replace('App("desk")', 'App("desk", encryption=Keyring.from_env())').replace(
    "import App, Step", "import App, Keyring, Step"
)


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Desk]:
    (tmp_path / "desk.py").write_text(ENCRYPTED)
    (tmp_path / "plain.py").write_text(APP)
    made = Desk(tmp_path, own_server.url)
    try:
        yield made
    finally:
        made.stop_workers()


def hold(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    """Have every command from now on hold these keys."""
    monkeypatch.setenv("LAYBY_KEYS", ",".join(keys))


def new(desk: Desk, name: str) -> str:
    return desk.run("keyring", "new", name).stdout.strip()


def test_a_new_key_is_one_line_of_a_keyring(desk: Desk) -> None:
    first, second = new(desk, "2026-11"), new(desk, "2026-11")
    name, _, secret = first.partition(":")
    assert name == "2026-11"
    assert len(base64.b64decode(secret, validate=True)) == 32
    assert first != second
    made = desk.json("keyring", "new", "k")
    assert made["id"] == "k"
    assert made["key"].startswith("k:")


@pytest.mark.parametrize("name", ["", "a:b", "a,b", "a b", "a#b"])
def test_a_key_with_an_invalid_name_is_refused(desk: Desk, name: str) -> None:
    done = desk.run("keyring", "new", name)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_key_is_rotated_under_a_parked_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    old, fresh = new(desk, "old"), new(desk, "fresh")
    hold(monkeypatch, old)
    assert "nothing is encrypted yet" in provisioned(desk).run("keyring", "show", "desk:app").stdout
    desk.start_worker()
    desk.open_ticket("T1")
    desk.question("T1")
    [row] = desk.json("keyring", "show", "desk:app")
    assert (row["id"], row["held"]) == ("old", True)
    records = row["records"]
    assert records >= 1

    desk.stop_workers()
    hold(monkeypatch, fresh, old)
    done = desk.json("keyring", "rotate", "desk:app")
    assert (done["primary"], done["rewrapped"], done["left"]) == ("fresh", records, {})
    again = desk.run("keyring", "rotate", "desk:app")
    assert "0 records rewrapped with fresh" in again.stdout
    assert "no other key is needed" in again.stdout

    hold(monkeypatch, fresh)  # the old key may go
    [row] = desk.json("keyring", "show", "desk:app")
    assert (row["id"], row["records"], row["held"]) == ("fresh", records, True)
    desk.start_worker()
    desk.run("answer", "T1", "Go on")
    assert desk.ended("T1")["status"] == "completed"


@pytest.mark.slow
def test_records_under_a_missing_key_are_named_and_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, fresh = new(desk, "lost"), new(desk, "fresh")
    hold(monkeypatch, lost)
    desk.start_worker()
    desk.open_ticket("T1")
    desk.question("T1")
    desk.stop_workers()

    hold(monkeypatch, fresh)
    shown = desk.run("keyring", "show", "desk:app")
    assert shown.returncode == 1
    assert "lost: " in shown.stdout
    assert "not in the keyring" in shown.stdout
    rotated = desk.run("keyring", "rotate", "desk:app")
    assert rotated.returncode == 1
    assert "'lost', which the keyring does not hold" in rotated.stderr
    assert rotated.stdout == ""
    assert "Traceback" not in rotated.stderr

    hold(monkeypatch, lost)  # the key that turned up again
    desk.start_worker()
    desk.run("answer", "T1", "Go on")
    assert desk.ended("T1")["status"] == "completed"


@pytest.mark.parametrize("verb", ["show", "rotate"])
def test_an_app_that_is_not_encrypted_has_no_keyring(desk: Desk, verb: str) -> None:
    done = desk.run("keyring", verb, "plain:app")
    assert done.returncode != 0
    assert "is not encrypted" in done.stderr
    assert "Traceback" not in done.stderr


def provisioned(desk: Desk) -> Desk:
    done = desk.run("provision", "desk:app")
    assert done.returncode == 0, done.stderr
    return desk
