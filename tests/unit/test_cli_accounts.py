"""`layby accounts` without a server: what it writes, says and refuses, the second time too."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from layby.cli.entry import run

APP = "from layby import App\napp = App('desk', roles=['developer', 'lead'], events=['a.b'])\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("NATS_URL", "NATS_CONTEXT", "LAYBY_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "accounts_desk.py").write_text(APP)
    yield tmp_path
    sys.modules.pop("accounts_desk", None)


@pytest.fixture
def accounts(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = run(["accounts", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def made(accounts: Run, *options: str) -> dict[str, Any]:
    code, out, _ = accounts("init", "logins", "accounts_desk:app", *options, "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_configuration_says_which_command_writes_it_again(accounts: Run) -> None:
    options = ["--person", "bob=lead", "--named-only", "--max-connections", "7"]
    code, out, _ = accounts("config", "accounts_desk:app", *options)
    assert code == 0
    line = next(each for each in out.splitlines() if "layby accounts config" in each)
    assert shlex.split(line.strip("# "))[3:] == ["accounts_desk:app", *options]
    assert "max_connections: 7," in out
    assert '"lead.response.*.bob"' in out
    assert '"lead.response.*"' not in out


def test_scripts_get_the_configuration_with_the_variables_of_its_passwords(accounts: Run) -> None:
    code, out, _ = accounts("config", "accounts_desk:app", "--one-account", "--json")
    assert code == 0
    found = json.loads(out)
    assert "THIS STOPS MISTAKES" in found["config"]
    assert "LAYBY_WORKER_PASSWORD" in found["variables"]
    for variable in found["variables"]:
        if "_TRAIL_" not in variable:
            assert f"${variable}" in found["config"]


def test_one_account_has_no_limits_to_set(accounts: Run) -> None:
    options = ("--one-account", "--max-connections", "7")
    code, out, err = accounts("config", "accounts_desk:app", *options)
    assert (code, out) == (1, "")
    assert "Leave one of the two out" in err


def test_a_new_folder_has_a_file_for_each_login_and_says_what_to_do_with_it(
    accounts: Run, folder: Path
) -> None:
    code, out, _ = accounts("init", "logins", "accounts_desk:app")
    assert code == 0
    first, *rest = out.splitlines()
    assert "include logins/server/operator.conf" in first
    assert "layby accounts push logins --server URL" in first
    assert "ada: NATS_CREDS=logins/creds/ada.creds NATS_INBOX_PREFIX=_INBOX_ada" in rest
    for name in ("ada", "worker", "provisioner", "helpdesk", "observer", "operator"):
        file = folder / "logins" / "creds" / f"{name}.creds"
        assert file.stat().st_mode & 0o077 == 0
    assert (folder / "logins").stat().st_mode & 0o077 == 0


def test_a_folder_is_never_overwritten(accounts: Run, folder: Path) -> None:
    made(accounts)
    before = (folder / "logins" / "keys" / "operator.nk").read_bytes()
    code, _, err = accounts("init", "logins", "accounts_desk:app")
    assert code == 1
    assert "is not empty: name a new folder" in err
    assert (folder / "logins" / "keys" / "operator.nk").read_bytes() == before


def test_the_list_has_everybody_with_their_roles(accounts: Run) -> None:
    made(accounts, "--person", "bob=lead,developer", "--bridge", "gate=slack")
    code, out, _ = accounts("list", "logins")
    assert code == 0
    assert out.splitlines() == [
        "bob  PEOPLE  lead, developer",
        "gate  BRIDGES  slack",
        "helpdesk  SENDERS",
        "observer  OBSERVERS",
        "operator  OPERATORS",
        "provisioner  LAYBY",
        "worker  LAYBY",
    ]
    assert json.loads(accounts("list", "logins", "--json")[1])["bob"] == {
        "account": "PEOPLE",
        "roles": ["lead", "developer"],
    }


def test_a_login_is_added_once(accounts: Run) -> None:
    made(accounts)
    code, out, _ = accounts("add", "logins", "eve", "--role", "lead")
    assert (code, out) == (
        0,
        "eve: NATS_CREDS=logins/creds/eve.creds NATS_INBOX_PREFIX=_INBOX_eve\n",
    )
    code, _, err = accounts("add", "logins", "eve")
    assert code == 1
    assert "eve has a login already: revoke it first, or name another" in err


def test_what_saves_streams_gets_a_second_login_for_the_trail(accounts: Run) -> None:
    made(accounts)
    _, out, _ = accounts("add", "logins", "saver", "--as", "backup", "--json")
    found = json.loads(out)
    assert (found["name"], found["inbox_prefix"]) == ("saver", "_INBOX_saver")
    assert list(found["also"]) == ["saver-trail"]
    single = json.loads(accounts("add", "logins", "eve", "--json")[1])
    assert "also" not in single


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("eve", "--role", "cto"), "cannot answer for cto"),
        (("eve.b",), "use letters, digits, _ and -"),
        (("gate", "--as", "bridge", "--via", "fax"), "cannot vouch by fax"),
        (("berlin", "--as", "link", "--domain", "hub"), "add a restorer"),
    ],
)
def test_a_login_that_cannot_be_is_refused_and_not_listed(
    accounts: Run, words: tuple[str, ...], why: str
) -> None:
    made(accounts)
    code, _, err = accounts("add", "logins", *words)
    assert code == 1
    assert why in " ".join(err.split())
    assert words[0] not in json.loads(accounts("list", "logins", "--json")[1])


def test_a_revoked_login_is_gone_and_the_server_must_still_be_told(
    accounts: Run, folder: Path
) -> None:
    made(accounts)
    code, out, _ = accounts("revoke", "logins", "ada")
    assert code == 1
    assert "saved, but the server does not know yet" in out
    assert "layby accounts push logins --server URL" in out
    assert not (folder / "logins" / "creds" / "ada.creds").exists()
    code, _, err = accounts("revoke", "logins", "ada")
    assert code == 1
    assert "ada has no login; these have: helpdesk, observer" in err
    assert json.loads(accounts("push", "logins", "--json")[1])["pushed"] == 0


def test_a_revoked_name_can_be_given_again(accounts: Run) -> None:
    made(accounts)
    accounts("revoke", "logins", "ada")
    assert accounts("add", "logins", "ada")[0] == 0


def test_an_update_keeps_what_was_chosen_unless_it_is_chosen_anew(
    accounts: Run, folder: Path
) -> None:
    made(accounts, "--named-only", "--max-connections", "7")

    def chosen() -> tuple[bool, int]:
        book = msgspec.json.decode((folder / "logins" / "logins.json").read_bytes())
        return book["wall"].get("named_only"), book["wall"].get("connections")

    assert chosen() == (True, 7)
    accounts("update", "logins", "accounts_desk:app")
    assert chosen() == (True, 7)
    accounts("update", "logins", "accounts_desk:app", "--no-named-only", "--max-connections", "9")
    assert chosen() == (False, 9)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "holds no logins: make them with `layby accounts init"), ("{", "cannot be read")],
)
def test_a_folder_without_logins_says_how_to_make_them(
    accounts: Run, folder: Path, content: str | None, why: str
) -> None:
    (folder / "logins").mkdir()
    if content is not None:
        (folder / "logins" / "logins.json").write_text(content)
    code, _, err = accounts("list", "logins")
    assert code == 1
    assert why in " ".join(err.split())


def test_a_damaged_credentials_file_is_named_with_what_to_do(accounts: Run, folder: Path) -> None:
    made(accounts)
    (folder / "logins" / "creds" / "ada.creds").write_text("nothing")
    code, _, err = accounts("update", "logins", "accounts_desk:app")
    assert code == 1
    assert "is gone or damaged: `layby accounts revoke` ada" in " ".join(err.split())


def keep(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "data" / "jetstream" / "$G" / "streams" / name).mkdir(parents=True)


def test_a_move_says_what_was_moved_and_a_second_one_that_nothing_is_left(
    accounts: Run, folder: Path
) -> None:
    keep(folder, "RUNS", "EVENTS", "AUDIT")
    assert accounts("move", "data")[:2] == (
        0,
        "2 streams now belong to account LAYBY\nthe audit trail now belongs to account TRAIL\n",
    )
    assert accounts("move", "data")[:2] == (0, "there was nothing to move\n")
    found = json.loads(accounts("move", "data", "--json")[1])
    assert found == {"streams": 0, "account": "LAYBY", "trails": 0, "trail": "TRAIL", "written": []}


def test_in_operator_mode_a_move_takes_the_accounts_from_the_folder_of_logins(
    accounts: Run, folder: Path
) -> None:
    made(accounts)
    keep(folder, "RUNS")
    code, out, _ = accounts("move", "data", "--registry", "logins", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["account"].startswith("A")
    assert (folder / "data" / "jetstream" / found["account"] / "streams" / "RUNS").exists()
    assert found["written"] == []
