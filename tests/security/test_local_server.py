"""The server of `layby dev`, the demo and tests is not for other users of the machine."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from layby.bus.connection import ConnectionSettings, connect
from layby.bus.errors import LoginRefused
from layby.bus.server import EmbeddedServer
from layby.cli.process.children import WorkerProcess
from layby.cli.process.local_server import FILE, advertised
from layby.client import Client
from layby.testing.server import server

pytestmark = pytest.mark.nats


def is_private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


@pytest.fixture(autouse=True)
def _generous_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


async def test_nobody_gets_in_without_its_password(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "nats", private=True) as server:
        assert "@" not in server.address
        for url in (server.address, server.address.replace("//", "//layby:guess@")):
            with pytest.raises(LoginRefused):
                await connect(ConnectionSettings(servers=(url,)))
        settings = ConnectionSettings(servers=(server.url_file.read_text().strip(),))
        async with Client.connect(settings) as client:
            assert (await client.doctor())[0].level == "ok"
        assert server.url.partition("@")[0] not in repr(settings)
        for file in ("url", "password", "nats-server.conf", "nats-server.log", "lock"):
            assert is_private(server.data / file), file


async def test_its_password_stays_so_that_clients_can_reconnect(tmp_path: Path) -> None:
    urls: list[str] = []
    for _ in range(2):
        async with EmbeddedServer(tmp_path / "nats", private=True) as server:
            urls.append(server.url.rpartition("@")[0])
    assert urls[0] == urls[1]
    (tmp_path / "nats" / "password").chmod(0o644)  # somebody may have read it
    async with EmbeddedServer(tmp_path / "nats", private=True) as server:
        assert server.url.rpartition("@")[0] != urls[0]


async def test_the_server_of_tests_is_private_too() -> None:
    async with server() as running:
        settings = ConnectionSettings(servers=(running.url,))
        async with await connect(settings) as connection:
            assert connection.demands_login
        with pytest.raises(LoginRefused):
            await connect(replace(settings, servers=(running.address,)))


def test_the_address_that_commands_find_is_readable_by_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    FILE.parent.mkdir()
    FILE.write_text("nats://old")
    FILE.chmod(0o644)
    with advertised("nats://layby:secret@127.0.0.1:1"):
        assert is_private(FILE)
        assert FILE.read_text() == "nats://layby:secret@127.0.0.1:1\n"


async def test_the_logs_of_workers_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    worker = WorkerProcess("no.such:app", name="w", environ=dict(os.environ), log=log)
    await worker.start()
    await worker.exited()
    assert log.stat().st_size
    assert is_private(log)
