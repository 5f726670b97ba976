"""Three nats-servers on the loopback that know each other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import BusError
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer

NODES = 3
_READY_WITHIN = 60.0
_POLL = 0.1
_EXTRA = """
server_name: "n{number}"
cluster {{
  name: bench
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
}}
"""


@contextlib.asynccontextmanager
async def clustered(folder: Path, *, sync_always: bool) -> AsyncGenerator[list[EmbeddedServer]]:
    """The servers, which have elected who leads; they are gone at the end of the block."""
    ports = _free_ports(NODES)
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
    nodes = [
        EmbeddedServer(
            folder / f"node{number}",
            sync_always=sync_always,
            extra=_EXTRA.format(number=number, port=port, routes=routes),
        )
        for number, port in enumerate(ports, 1)
    ]
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        await _led(tuple(node.url for node in nodes))
        yield nodes
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


async def _led(urls: tuple[str, ...]) -> None:
    """Wait until streams can be created."""
    name = "LAYBY_BENCH_READY"
    stream = {"name": name, "subjects": ["layby.bench.ready"], "num_replicas": NODES}
    async with (
        asyncio.timeout(_READY_WITHIN),
        opened(ConnectionSettings(servers=urls), patient=True) as bus,
    ):
        while True:
            with contextlib.suppress(BusError):
                await bus.requests.api(f"STREAM.CREATE.{name}", stream, timeout=2)
                await bus.requests.api(f"STREAM.DELETE.{name}", timeout=2)
                return
            await asyncio.sleep(_POLL)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
