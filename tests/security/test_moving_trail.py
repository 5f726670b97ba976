"""The trail of an earlier release, which is among the streams of workers, gets an account."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from layby.access.registry import Registry
from layby.bus.errors import PermissionDenied, TopologyMismatch
from layby.bus.server import EmbeddedServer
from layby.cli.entry import run as layby
from layby.operations.provisioning import provision
from layby.views.rows import AuditRow, Finding
from tests.security.house import (
    House,
    desk,
    with_accounts,
    with_one_account,
    with_tokens,
)
from tests.security.test_trail import audited, cancelled

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

KINDS = ["accounts", "jwt"]


def registry_of(kind: str, folder: Path, *, own_trail: bool = True) -> Registry | None:
    return with_tokens(desk(), folder, own_trail=own_trail) if kind == "jwt" else None


@asynccontextmanager
async def served(
    folder: Path, kind: str, registry: Registry | None, *, own_trail: bool = True
) -> AsyncGenerator[House]:
    """The server in its folder, in one of its ages."""
    if kind == "one account":
        extra = with_one_account(desk())
    else:
        extra = with_accounts(desk(), own_trail=own_trail)
    extra = registry.config.read_text() if registry else extra
    async with EmbeddedServer(folder / "nats", extra=extra) as server:
        if registry:
            yield await House.by_tokens(server.url, Registry(registry.folder))
        else:
            yield House(url=server.url, kind=kind)


async def told(house: House) -> list[Finding]:
    async with house.client("observer") as observer:
        return [each for each in await observer.doctor() if each.subject == "trail"]


def moves(folder: Path, registry: Registry | None) -> int:
    where = ["--registry", str(registry.folder)] if registry else []
    return layby(["accounts", "move", str(folder / "nats"), *where])


async def goes_on(house: House, before: list[AuditRow]) -> None:
    """The trail is whole, on its own, and takes commands."""
    async with house.working(), house.client("operator") as operator:
        run = await house.question("T2")
        assert (await operator.cancel(run)).status == "cancelled"
        rows = await operator.audit()
    assert rows[1:] == before
    assert (rows[0].run, rows[0].outcome) == (run, "done")
    assert [each.level for each in await told(house)] == ["ok"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_trail_inside_works_until_it_is_moved(kind: str, tmp_path: Path) -> None:
    registry = registry_of(kind, tmp_path, own_trail=False)
    async with served(tmp_path, kind, registry, own_trail=False) as house:
        async with house.working():
            before = await cancelled(house)
        [finding] = await told(house)
        assert finding.level == "warn"
        assert "layby accounts move" in finding.advice
        assert moves(tmp_path, registry) != 0  # the server runs
    assert moves(tmp_path, registry) == 0
    async with served(tmp_path, kind, registry) as house:
        await goes_on(house, before)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_trail_comes_along_from_one_account(kind: str, tmp_path: Path) -> None:
    async with served(tmp_path, "one account", None) as house, house.working():
        before = await cancelled(house)
    registry = registry_of(kind, tmp_path)
    assert moves(tmp_path, registry) == 0
    assert moves(tmp_path, registry) == 0  # and again, which changes nothing
    async with served(tmp_path, kind, registry) as house:
        await goes_on(house, before)


async def test_what_was_interrupted_is_completed(tmp_path: Path) -> None:
    async with served(tmp_path, "one account", None) as house, house.working():
        before = await cancelled(house)
    store = tmp_path / "nats" / "jetstream"
    (store / "$G").rename(store / "LAYBY")
    assert moves(tmp_path, None) == 0
    async with served(tmp_path, "accounts", None) as house:
        await goes_on(house, before)


async def test_no_second_trail_is_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Started with accounts of their own, and nothing moved: it is said, and nothing is lost."""
    async with served(tmp_path, "accounts", None, own_trail=False) as house, house.working():
        before = await cancelled(house)
    async with served(tmp_path, "accounts", None) as house:
        with pytest.raises(TopologyMismatch, match="in an account of its own"):
            await provision(desk(), house.settings("provisioner"))
        with pytest.raises(PermissionDenied, match="layby provision APP"):
            await provision(desk(), house.settings("worker"))
        assert [each.level for each in await told(house)] == ["warn"]
        assert await audited(house) == []
    assert moves(tmp_path, None) == 0
    async with served(tmp_path, "accounts", None) as house:
        await goes_on(house, before)
    store = tmp_path / "nats" / "jetstream"
    (store / "LAYBY" / "streams" / "AUDIT").mkdir()
    capsys.readouterr()
    assert moves(tmp_path, None) != 0
    assert "has a trail already" in capsys.readouterr().err


async def test_the_logins_that_need_new_credentials_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = with_tokens(desk(), tmp_path, own_trail=False)
    streams = tmp_path / "nats" / "jetstream" / registry.account / "streams"
    (streams / "RUNS").mkdir(parents=True)
    for name, subjects in (("AUDIT", ["layby.do.*.*"]), ("MY_AUDIT", ["books.>"])):
        (streams / name).mkdir()
        (streams / name / "meta.inf").write_text(json.dumps({"subjects": subjects}))
    where = ["--registry", str(registry.folder), "--json"]
    assert layby(["accounts", "move", str(tmp_path / "nats"), *where]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["written"] == ["provisioner", "worker", "notifier", "observer", "operator"]
    assert (found["streams"], found["trails"], found["trail"]) == (0, 1, registry.trail)
    assert {each.name for each in streams.iterdir()} == {"RUNS", "MY_AUDIT"}
