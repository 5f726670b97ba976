from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from layby.bus import leader_wait
from layby.bus.connection import ConnectionSettings
from layby.bus.errors import PublishUnconfirmed, StreamMissing
from layby.bus.log import Log, LogMessage
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.bus.specs import StreamSpec, Topology
from layby.bus.topology import Provisioner
from layby.runtime.entry import Raw, Started
from layby.runtime.run import LiveRun
from layby.runtime.state import RunState

OPENING = Started(workflow="w", actor="workflow-w", version="1", ticket="T1", event=Raw(b"{}"))
RUNS = StreamSpec(name="RUNS", subjects=("to.>",), config={"allow_direct": True})


class Overtaken(Log):
    """The log, but each entry reaches its addressee before its writer has the acknowledgement."""

    live: LiveRun
    lost = False
    """Whether the acknowledgement then never comes."""

    async def append(
        self, run: str, n: int, to: str, data: bytes, trace: Mapping[str, str] | None = None
    ) -> None:
        await super().append(run, n, to, data, trace)
        self.live.learn(LogMessage(n, to, data))
        if self.lost:
            raise PublishUnconfirmed("no reply")


@pytest.mark.parametrize("lost", [False, True])
async def test_an_entry_may_be_delivered_before_it_is_acknowledged(
    own_server: EmbeddedServer, *, lost: bool
) -> None:
    async with opened(ConnectionSettings(servers=(own_server.url,))) as (_, requests):
        await Provisioner(requests).ensure(Topology(streams=(RUNS,), consumers=()))
        log = Overtaken(requests)
        log.lost = lost
        log.live = live = LiveRun(log, RunState(id="r1"))

        assert await live.append([OPENING]) == 1

        assert live.state.tail == 1
        assert len(await log.load("r1")) == 1


class Refused(Log):
    """The log, which says when it was first refused for want of a server that takes it."""

    def __init__(self, requests: Requests) -> None:
        super().__init__(requests, streams=1)
        self.refused = asyncio.Event()

    async def append(
        self, run: str, n: int, to: str, data: bytes, trace: Mapping[str, str] | None = None
    ) -> None:
        try:
            await super().append(run, n, to, data, trace)
        except StreamMissing:
            self.refused.set()
            raise


async def test_an_append_waits_until_a_server_takes_it(own_server: EmbeddedServer) -> None:
    async with opened(ConnectionSettings(servers=(own_server.url,))) as (_, requests):
        log = Refused(requests)
        live = LiveRun(log, RunState(id="r1"))
        appending = asyncio.ensure_future(live.append([OPENING]))
        async with asyncio.timeout(30):
            await log.refused.wait()
            await Provisioner(requests).ensure(Topology(streams=(RUNS,), consumers=()))
            assert await appending == 1
        assert len(await log.load("r1")) == 1


async def test_an_append_without_a_stream_fails_in_the_end(
    own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader_wait, "PATIENCE", 0.1)
    async with opened(ConnectionSettings(servers=(own_server.url,))) as (_, requests):
        live = LiveRun(Log(requests, streams=1), RunState(id="r1"))
        with pytest.raises(StreamMissing):
            await live.append([OPENING])
