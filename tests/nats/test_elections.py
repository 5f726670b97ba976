"""What people send while a stream has no leader waits for one, and is not said to be nowhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import BusError, NoLeader
from layby.bus.opened import opened
from layby.bus.patience import PatientApi
from layby.bus.requests import Requests
from layby.client import Client, NoReceipt, NotDoneYet
from layby.commands import STREAM as COMMANDS
from tests.chaos.app import TRIGGER
from tests.chaos.cluster import Cluster
from tests.engine import until

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]

LED = ("EVENTS", "ANSWERS", COMMANDS)
"""What outsiders store in."""


@contextlib.asynccontextmanager
async def led_by_one(folder: Path) -> AsyncGenerator[tuple[Cluster, ConnectionSettings]]:
    """Three servers, and the way to two of them: the first leads what outsiders store in."""
    cluster = Cluster(folder)
    try:
        await cluster.start()
        first, *others = cluster.nodes
        settings = ConnectionSettings(servers=tuple(node.url for node in others), timeout=30)
        async with opened(settings) as bus:
            for stream in LED:
                await _handed_over(cluster, bus.requests, stream, cluster.name_of(first))
        yield cluster, settings
    finally:
        cluster.kill()


async def _handed_over(cluster: Cluster, requests: Requests, stream: str, name: str) -> None:
    """Have a node lead a stream."""

    async def led() -> bool:
        leader = await cluster.leader(requests, stream)
        if leader is not None and cluster.name_of(leader) == name:
            return True
        # The leader may step down without a reply, or may have done so already.
        with contextlib.suppress(BusError):
            place = {"placement": {"preferred": name}}
            await requests.api(f"STREAM.LEADER.STEPDOWN.{stream}", place, timeout=1.0)
        return False

    await until(led, 60)


async def waited_for(cluster: Cluster, settings: ConnectionSettings) -> None:
    """Kill who leads, and send an event, an answer and a command to those that are left."""
    async with Client.connect(settings) as client:
        cluster.nodes[0].kill()
        sent, answered, ordered = await asyncio.gather(
            client.send(TRIGGER, {"ticketId": "T1"}),
            client.answer("T1", "yes", timeout=0.1),
            client.purge(3_600.0),
            return_exceptions=True,
        )
    for error in (sent, answered, ordered):
        if isinstance(error, BaseException) and not isinstance(error, (NoReceipt, NotDoneYet)):
            raise error
    assert (isinstance(answered, NoReceipt), isinstance(ordered, NotDoneYet)) == (True, True)


async def test_what_is_sent_between_two_leaders_is_stored_by_the_next(tmp_path: Path) -> None:
    async with led_by_one(tmp_path) as (cluster, settings):
        await waited_for(cluster, settings)
        async with opened(settings) as bus:
            api = PatientApi(bus.requests)
            for stream in LED:
                state = (await api.api(f"STREAM.INFO.{stream}"))["state"]
                assert state["messages"] == 1, stream


@pytest.mark.proof
async def test_where_too_few_servers_are_left_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layby.bus.leader_wait._FOR_PEOPLE", 1.0)
    async with led_by_one(tmp_path) as (cluster, _):
        *lost, left = cluster.nodes
        async with Client.connect(ConnectionSettings(servers=(left.url,))) as client:
            for node in lost:
                node.kill()
            with pytest.raises(NoLeader, match="Nothing was stored"):
                await client.send(TRIGGER, {"ticketId": "T1"})
