"""Real nats-servers: one for the session, and one of its own for a test that kills it.

LAYBY_TEST_CONTAINERS=1 takes the session's server from Docker, if Docker answers; all else is the
binary that Layby itself embeds.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, cast

import pytest
from nats.js import JetStreamContext

from layby.bus.connection import ConnectionSettings, connect
from layby.bus.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

IMAGE = "nats:2.15.1"


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's server, shared: use names that no other test uses, or `clean_nats`."""
    if os.environ.get("LAYBY_TEST_CONTAINERS") == "1" and docker_answers():
        yield from _in_container()
    else:
        yield from _embedded(tmp_path_factory.mktemp("nats"))


@pytest.fixture
async def clean_nats(nats_url: str) -> str:
    """The session's server with no streams on it."""
    async with await connect(ConnectionSettings(servers=(nats_url,))) as connection:
        manager = JetStreamContext(connection.nc)
        for info in await manager.streams_info():
            await manager.delete_stream(info.config.name or "")
    return nats_url


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A started server that belongs to one test, to be killed and restarted."""
    async with EmbeddedServer(tmp_path / "nats") as server:
        yield server


def _embedded(data: Path) -> Iterator[str]:
    server = EmbeddedServer(data)
    loop = asyncio.new_event_loop()  # its own: the tests' loops come and go
    try:
        loop.run_until_complete(server.start())
        yield server.url
        loop.run_until_complete(server.stop())
    finally:
        server.kill()
        loop.close()


def docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    asked = subprocess.run([docker, "info"], capture_output=True, check=False, timeout=20)  # noqa: S603
    return asked.returncode == 0


def _in_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415

    ready = LogMessageWaitStrategy("Server is ready")
    box = DockerContainer(IMAGE).with_command("-js").waiting_for(ready)
    # A free port of the loopback only: passed on to Docker, although the types do not say so.
    cast("dict[str, object]", box.ports)["4222/tcp"] = ("127.0.0.1", None)
    with box:
        yield f"nats://127.0.0.1:{box.get_exposed_port(4222)}"


async def eventually(holds: Callable[[], bool], within: float = 30.0) -> None:
    """Wait for what another process does and nothing announces."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
