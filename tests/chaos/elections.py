"""Who leads what in a cluster, and since when, by the servers' own advisories."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from layby.bus.connection import Connection, ConnectionSettings, connect
from layby.bus.opened import opened
from layby.bus.requests import Requests

_ADVISORIES = "$JS.EVENT.ADVISORY.*.LEADER_ELECTED.>"


class Elected(NamedTuple):
    """A node that was elected to lead a stream or a consumer."""

    at: float
    """When, Unix seconds."""
    node: str


class Elections:
    """Every election, seen through a connection to each node."""

    def __init__(self) -> None:
        self._elected: dict[str, list[Elected]] = defaultdict(list)
        """By the stream's name, or that and the consumer's: in order."""

    @classmethod
    @contextlib.asynccontextmanager
    async def watched(cls, urls: Iterable[str]) -> AsyncGenerator[Elections]:
        """All elections while the block is open, and who led when it was entered."""
        one, urls = cls(), list(urls)
        connections: list[Connection] = []
        try:
            for url in urls:
                connections.append(await connect(ConnectionSettings(servers=(url,))))
                await connections[-1].nc.subscribe(_ADVISORIES, cb=one._hear)
            async with opened(ConnectionSettings(servers=tuple(urls))) as bus:
                await one._ask(bus.requests)
            yield one
        finally:
            for connection in connections:
                await connection.close()

    async def _ask(self, requests: Requests) -> None:
        for stream in await _pages(requests, "STREAM.LIST", "streams"):
            name = stream["config"]["name"]
            self.note(name, Elected(0.0, stream["cluster"].get("leader", "")))
            for consumer in await _pages(requests, f"CONSUMER.LIST.{name}", "consumers"):
                leader = consumer["cluster"].get("leader", "")
                self.note(f"{name} {consumer['name']}", Elected(0.0, leader))

    async def _hear(self, msg: Any) -> None:
        said = msgspec.json.decode(msg.data)
        group = " ".join(filter(None, (said["stream"], said.get("consumer", ""))))
        at = datetime.fromisoformat(said["timestamp"]).timestamp()
        self.note(group, Elected(at, said["leader"]))

    def note(self, group: str, elected: Elected) -> None:
        """Take an election into account; each is heard of through every node."""
        known = self._elected[group]
        if elected not in known:
            known.insert(bisect_right(known, elected), elected)

    def led_by(self, node: str, at: float) -> list[str]:
        """What a node led at a time."""
        before = {
            group: known[bisect_right(known, Elected(at, "\uffff")) - 1]
            for group, known in self._elected.items()
            if known[0].at <= at
        }
        return [group for group, elected in before.items() if elected.node == node]

    def after(self, group: str, at: float) -> float | None:
        """When somebody was elected to lead next; None if nobody was."""
        known = self._elected[group]
        later = bisect_right(known, Elected(at, "\uffff"))
        return known[later].at if later < len(known) else None

    def is_led(self, group: str, since: float, until: float) -> bool:
        """Whether somebody was elected between these times."""
        elected = self.after(group, since)
        return elected is not None and elected <= until


async def _pages(requests: Requests, verb: str, what: str) -> list[dict[str, Any]]:
    """All streams or consumers, of which the server tells a page at a time."""
    found: list[dict[str, Any]] = []
    while True:
        page = await requests.api(verb, {"offset": len(found)}, timeout=10)
        found += page[what] or []
        if len(found) >= page["total"] or not page[what]:
            return found
