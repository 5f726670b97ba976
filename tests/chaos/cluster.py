"""Campaigns against three servers on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from http.client import HTTPConnection
from pathlib import Path

import msgspec

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import BusError, PortTaken
from layby.bus.log_subject import shares
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.bus.topology import Provisioner

from .app import app
from .campaign import Campaign
from .driver import Driver
from .elections import Elections
from .fleet import Fleet
from .plan import batches, plans
from .recovery import GRACE, Outage, outages, told
from .report import Report

_NODES = 3
_READY = 60.0
_SILENCE = 30.0
_ACK_WAIT = 3.0
_ELECTED = 30.0
_META = "the cluster"
"""Led by the node that decides what streams and consumers there are."""
_EXTRA = """
server_name: "n{number}"
http: "127.0.0.1:{monitor}"
cluster {{
  name: chaos
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
}}
"""


class Cluster:
    """Three nats-servers that know each other.

    Args:
        folder: Where their data goes.
        extra: More of their configuration, such as accounts.
    """

    def __init__(self, folder: Path, extra: str = "") -> None:
        self._folder, self._extra = folder, extra
        self.nodes = self._with_free_ports()

    def _with_free_ports(self) -> list[EmbeddedServer]:
        ports = [_free_port() for _ in range(_NODES)]
        self._monitors = [_free_port() for _ in range(_NODES)]
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        return [
            EmbeddedServer(
                self._folder / f"node{number}",
                extra=self._extra
                + _EXTRA.format(number=number, port=port, monitor=monitor, routes=routes),
            )
            for number, (port, monitor) in enumerate(zip(ports, self._monitors, strict=True), 1)
        ]

    @property
    def url(self) -> str:
        """All nodes, joined by commas."""
        return ",".join(node.url for node in self.nodes)

    async def start(self) -> None:
        """Start all nodes and create the app's streams, three times replicated."""
        await self.up()
        async with asyncio.timeout(_READY):
            while True:
                with contextlib.suppress(BusError):
                    await self._provision()
                    return
                await asyncio.sleep(0.2)

    async def up(self) -> None:
        """Start all nodes for the first time; on other ports if somebody took one of theirs."""
        for attempts_left in (4, 3, 2, 1, 0):
            started = [node.start() for node in self.nodes]
            results = await asyncio.gather(*started, return_exceptions=True)
            failed = [each for each in results if isinstance(each, BaseException)]
            if not failed:
                return
            self.kill()
            if not (attempts_left and all(isinstance(each, PortTaken) for each in failed)):
                raise failed[0]
            self.nodes = self._with_free_ports()

    async def down(self) -> None:
        """Stop all nodes cleanly."""
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def _provision(self) -> None:
        settings = ConnectionSettings(servers=tuple(self.url.split(",")))
        async with opened(settings) as bus:
            await Provisioner(bus.requests, replicas=_NODES).ensure(app.topology())

    async def leader(self, requests: Requests, stream: str) -> EmbeddedServer | None:
        """The node that leads a stream, None while there is none."""
        with contextlib.suppress(BusError):
            info = await requests.api(f"STREAM.INFO.{stream}", timeout=2)
            name = str(info.get("cluster", {}).get("leader", ""))
            if name:
                return self._named(name)
        return None

    async def meta_leader(self) -> EmbeddedServer | None:
        """The node that leads the cluster, None while there is none."""
        for port in self._monitors:
            with contextlib.suppress(OSError):
                if name := await asyncio.to_thread(_meta_leader, port):
                    return self._named(name)
        return None

    def _named(self, name: str) -> EmbeddedServer:
        return self.nodes[int(name.removeprefix("n")) - 1]

    def kill(self) -> None:
        """Kill what still runs."""
        for node in self.nodes:
            node.kill()

    def name_of(self, node: EmbeddedServer) -> str:
        """What the servers call a node."""
        return f"n{self.nodes.index(node) + 1}"


class Losses:
    """The faults of a campaign that took leaders away, and the elections after them."""

    def __init__(self, campaign: Campaign, cluster: Cluster, elections: Elections) -> None:
        self._campaign, self._cluster, self._elections = campaign, cluster, elections
        self._lost: list[tuple[str, list[str], float]] = []

    def note(self, what: str, *nodes: EmbeddedServer) -> None:
        """Count a fault: these nodes are lost, or about to be."""
        self._campaign.note(what)
        names = [self._cluster.name_of(node) for node in nodes]
        self._lost.append((what, names, self._campaign.fault_times[-1]))

    async def recovery(self) -> None:
        """Let pass what runs may take to go on after the last fault."""
        await self._campaign.until(lambda: self._outages()[-1].over, _ELECTED, "elections")
        await self._campaign.while_looking(_ACK_WAIT + GRACE)

    async def settle(self, within: float) -> Report:
        """Make no more faults, wait until all is over, judge, and say how long it took."""
        report = await self._campaign.settle(within)
        report.notes += told(self._campaign.driver.history, self._outages(), _ACK_WAIT)
        return report

    def _outages(self) -> list[Outage]:
        return outages(self._elections, self._lost)


@contextlib.asynccontextmanager
async def clustered(
    name: str, folder: Path, seed: int
) -> AsyncGenerator[tuple[Campaign, Cluster, Losses]]:
    """A campaign against three nodes."""
    cluster = Cluster(folder)
    try:
        await cluster.start()
        async with (
            Fleet(folder, cluster.url, ack_wait=_ACK_WAIT, ask_timeout=5.0) as fleet,
            Driver.connected(cluster.url) as driver,
            Elections.watched(node.url for node in cluster.nodes) as elections,
        ):
            one = Campaign(
                name=name, seed=seed, folder=folder, driver=driver, fleet=fleet, server=None
            )
            async with one.telling():
                yield one, cluster, Losses(one, cluster, elections)
    finally:
        cluster.kill()


async def leader_kills(folder: Path, seed: int, size: float = 1.0) -> Report:
    """The leader of a stream, or of the cluster, is killed and comes back, again and again."""
    async with clustered("leader_kills", folder, seed) as (c, cluster, losses):
        await c.start(3)
        kills = max(2, round(20 * size))
        todo = plans(seed, max(20, round(300 * size)))
        for number, batch in enumerate(batches(todo, kills)):
            c.driver.open(*batch)
            await c.while_looking(c.draw.uniform(0.2, 2.0))
            led = c.draw.choice([_META, *shares(app.log_streams), "ANSWERS", "KV_parked", "TIMERS"])
            if led == _META:
                node = await cluster.meta_leader()
            else:
                node = await cluster.leader(c.driver.requests, led)
            if node is not None:
                node.kill()
                losses.note(f"leader of {led} killed", node)
                await c.while_looking(c.draw.uniform(0.5, 3.0))
                await node.start()
                # The next one dies amid the recovery, or after it.
                await (losses.recovery() if number % 2 else c.while_looking(2.0))
        return await losses.settle(120)


async def rolling_restart(folder: Path, seed: int, size: float = 1.0) -> Report:
    """Each node is stopped cleanly and started; then two of three are killed and come back."""
    async with clustered("rolling_restart", folder, seed) as (c, cluster, losses):
        await c.start(3)
        todo = plans(seed, max(20, round(100 * size)))
        half = len(todo) // 2
        c.driver.open(*todo[:half])
        for node in cluster.nodes:
            await c.while_looking(1.0)
            losses.note("node restarted", node)
            await node.restart()
            await c.while_looking(3.0)
        c.driver.open(*todo[half:])
        await c.while_looking(0.5)
        for node in cluster.nodes[:2]:
            node.kill()
        losses.note("two of three nodes killed", *cluster.nodes[:2])
        await asyncio.sleep(2.0)
        await asyncio.gather(*(node.start() for node in cluster.nodes[:2]))
        return await losses.settle(120)


async def silent_leader(folder: Path, seed: int, size: float = 1.0) -> Report:
    """The leader of a stream says nothing for a while, without a reset, and then goes on."""
    async with clustered("silent_leader", folder, seed) as (c, cluster, losses):
        await c.start(3)
        times = max(1, round(4 * size))
        todo = plans(seed, max(20, round(100 * size)))
        for number, batch in enumerate(batches(todo, times)):
            c.driver.open(*batch)
            await c.while_looking(c.draw.uniform(0.2, 1.0))
            stream = ["RUNS", "ANSWERS", "KV_parked", "TIMERS"][number % 4]
            node = await cluster.leader(c.driver.requests, stream)
            if node is not None:
                os.kill(node.pid, signal.SIGSTOP)
                losses.note(f"leader of {stream} silent for {_SILENCE:g} s", node)
                await asyncio.sleep(_SILENCE)
                os.kill(node.pid, signal.SIGCONT)
                await c.while_looking(2.0)
        return await losses.settle(120)


def _meta_leader(monitor: int) -> str:
    """Who leads the cluster, by the word of the node with that monitoring port."""
    connection = HTTPConnection("127.0.0.1", monitor, timeout=2)
    try:
        connection.request("GET", "/jsz")
        found = msgspec.json.decode(connection.getresponse().read())
        return str(found.get("meta_cluster", {}).get("leader", ""))
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


SCENARIOS: dict[str, Callable[[Path, int, float], Awaitable[Report]]] = {
    "leader_kills": leader_kills,
    "rolling_restart": rolling_restart,
    "silent_leader": silent_leader,
}
