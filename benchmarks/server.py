"""The nats-servers of the benchmarks, in a fresh folder: one or three, at either durability."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner

from .cluster import NODES, clustered

DEFAULT = "default"
ALWAYS = "always"
_THREE = f", {NODES} servers"


class Servers(NamedTuple):
    """Running servers, and where they keep their data."""

    url: str
    data: Path
    pids: list[int]
    copies: int
    """How many copies each stream has."""

    @property
    def settings(self) -> ConnectionSettings:
        """How to connect to them."""
        return ConnectionSettings(servers=tuple(self.url.split(",")))


def setting(sync: str, servers: int) -> str:
    """The words for `sync_interval` and the number of servers, which head a table."""
    return sync if servers == 1 else sync + _THREE


@contextlib.asynccontextmanager
async def server(sync: str = DEFAULT) -> AsyncGenerator[EmbeddedServer]:
    """A server that is gone, with its data, at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="layby-bench-") as folder:
        async with EmbeddedServer(Path(folder), sync_always=sync == ALWAYS) as running:
            yield running


@contextlib.asynccontextmanager
async def servers(words: str, topology: Topology | None = None) -> AsyncGenerator[Servers]:
    """The servers that `setting` describes, on which three have `topology` with three copies."""
    if not words.endswith(_THREE):
        async with server(words) as one:
            yield Servers(one.url, one.data, [one.pid], 1)
        return
    sync = words.removesuffix(_THREE)
    with tempfile.TemporaryDirectory(prefix="layby-bench-") as folder:
        async with clustered(Path(folder), sync_always=sync == ALWAYS) as nodes:
            url = ",".join(node.url for node in nodes)
            running = Servers(url, Path(folder), [node.pid for node in nodes], NODES)
            if topology is not None:
                await provision(running, topology)
            yield running


async def provision(running: Servers, topology: Topology) -> None:
    """Create the streams, with as many copies as there are servers."""
    async with opened(running.settings, patient=True) as bus:
        await Provisioner(bus.requests, replicas=running.copies).ensure(topology)
