"""Operator mode: logins by keys, given and revoked one by one while the server runs."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from layby.access.push import push
from layby.access.registry import Registry
from layby.bus.connection import ConnectionSettings, connect
from layby.bus.errors import InvalidSettings, LoginRefused
from layby.bus.server import EmbeddedServer
from layby.cli.entry import run
from layby.client import Client
from tests.engine import until
from tests.security.house import WITHIN, House, desk, with_tokens
from tests.security.test_at_work import layby

pytestmark = pytest.mark.nats


def made(folder: Path) -> Registry:
    return with_tokens(desk(), folder)


@asynccontextmanager
async def served(folder: Path, registry: Registry) -> AsyncGenerator[House]:
    async with EmbeddedServer(folder / "nats", extra=registry.config.read_text()) as server:
        yield await House.by_tokens(server.url, registry)


def login(url: str, registry: Registry, name: str) -> ConnectionSettings:
    creds = str(registry.creds(name))
    return ConnectionSettings(servers=(url,), creds=creds, inbox_prefix=f"_INBOX_{name}")


async def refused(settings: ConnectionSettings) -> bool:
    try:
        async with await connect(settings):
            return False
    except LoginRefused:
        return True


async def test_a_person_is_added_while_the_server_runs(tmp_path: Path) -> None:
    registry = made(tmp_path)
    async with served(tmp_path, registry) as nats, nats.working():
        await nats.question("T1")
        registry.add("person", "eve", ("developer",))
        async with Client.connect(login(nats.url, registry, "eve")) as eve:
            assert (await eve.questions())[0].ticket == "T1"
            receipt = await eve.answer("T1", "yes", responder="eve", timeout=WITHIN)
        assert (receipt.outcome, receipt.by) == ("accepted", "eve")


async def test_a_revoked_login_is_cut_off_and_stays_out(tmp_path: Path) -> None:
    registry = made(tmp_path)
    kept = tmp_path / "kept.creds"
    kept.write_bytes(registry.creds("ada").read_bytes())
    async with served(tmp_path, registry) as nats:
        ada = replace(login(nats.url, registry, "ada"), creds=str(kept))
        async with await connect(ada) as connected:
            registry.revoke("ada")
            await push(registry, ConnectionSettings(servers=(nats.url,)))

            async def gone() -> bool:
                return not connected.nc.is_connected

            await until(gone, WITHIN)
        assert await refused(ada)
        assert not await refused(login(nats.url, registry, "bob"))
    # A restart, with the configuration of before, brings nobody back.
    async with EmbeddedServer(tmp_path / "nats", extra=registry.config.read_text()) as again:
        assert await refused(replace(ada, servers=(again.url,)))
        assert not await refused(login(again.url, registry, "bob"))


async def test_a_person_added_again_gets_another_key(tmp_path: Path) -> None:
    registry = made(tmp_path)
    async with served(tmp_path, registry) as nats:
        registry.revoke("ada")
        await push(registry, ConnectionSettings(servers=(nats.url,)))
        registry.add("person", "ada")
        assert not await refused(login(nats.url, registry, "ada"))


async def test_keys_of_another_installation_open_nothing(tmp_path: Path) -> None:
    registry = made(tmp_path)
    other = made(tmp_path / "other")
    async with served(tmp_path, registry) as nats:
        assert await refused(login(nats.url, other, "ada"))
        assert await refused(login(nats.url, other, "worker"))
        with pytest.raises(LoginRefused):
            await push(other, ConnectionSettings(servers=(nats.url,)))
        assert not await refused(login(nats.url, registry, "ada"))


def test_only_the_owner_may_read_keys_and_credentials(tmp_path: Path) -> None:
    registry = made(tmp_path)
    for path in registry.folder.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert stat.S_IMODE(registry.folder.stat().st_mode) == 0o700


def test_nothing_is_written_over_keys(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(InvalidSettings, match="not empty"):
        made(tmp_path)


def test_names_and_roles_are_checked(tmp_path: Path) -> None:
    registry = made(tmp_path)
    with pytest.raises(InvalidSettings, match="has a login already"):
        registry.add("person", "ada")
    with pytest.raises(InvalidSettings, match="use letters"):
        registry.add("person", "a.>")
    with pytest.raises(InvalidSettings, match="cannot answer for boss"):
        registry.add("person", "eve", ("boss",))
    with pytest.raises(InvalidSettings, match="has no login"):
        registry.revoke("eve")
    assert "eve" not in registry.logins


async def test_by_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no server is advertised
    folder = str(tmp_path / "logins")
    store = ["--store", str(tmp_path / "jwt")]
    assert run(["accounts", "init", folder, "examples.support_agent:app", *store]) == 0
    assert "NATS_INBOX_PREFIX=_INBOX_ada" in capsys.readouterr().out
    assert run(["accounts", "add", folder, "eve", "--as", "observer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inbox_prefix"] == "_INBOX_eve"
    assert run(["accounts", "revoke", folder, "ada"]) == 1  # no server is named
    assert "does not know yet" in capsys.readouterr().out
    assert run(["accounts", "list", folder, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {
        *("provisioner", "worker", "helpdesk", "eve", "observer", "operator")
    }
    async with served(tmp_path, Registry(Path(folder))) as nats:
        assert (await layby(nats, "eve", "accounts", "push", folder))["pushed"] == 8
        app = "examples.support_agent:app"
        assert (await layby(nats, "eve", "accounts", "update", folder, app))["pushed"] == 8
        assert (await layby(nats, "eve", "accounts", "revoke", folder, "eve"))["pushed"] == 8


async def test_an_update_keeps_what_it_is_not_told(tmp_path: Path) -> None:
    """An update for a new role must not quietly open the plain subject again."""
    folder, app = str(tmp_path / "logins"), "examples.support_agent:app"
    strict = ["--named-only", "--max-connections", "7"]
    assert run(["accounts", "init", folder, app, *strict]) == 0
    assert run(["accounts", "update", folder, app]) == 1  # no server is named
    wall = Registry(Path(folder)).wall
    assert (wall.named_only, wall.connections) == (True, 7)
    told = ["--no-named-only", "--max-connections", "8"]
    assert run(["accounts", "update", folder, app, *told]) == 1
    wall = Registry(Path(folder)).wall
    assert (wall.named_only, wall.connections) == (False, 8)
