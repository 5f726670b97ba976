"""How many copies a cluster keeps of streams that exist already."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import BusError
from layby.bus.group_commit import SETTING
from layby.bus.opened import opened
from layby.bus.patience import PatientApi
from layby.client import Client
from layby.operations.provisioning import provision
from layby.views.rows import Finding
from tests.chaos.app import app
from tests.chaos.cluster import Cluster
from tests.engine import until, until_done

pytestmark = [pytest.mark.proof, pytest.mark.nats, pytest.mark.timeout(240)]


async def copies(settings: ConnectionSettings) -> set[int]:
    """The numbers of copies that the app's streams have."""
    async with opened(settings) as bus:
        api = PatientApi(bus.requests)
        infos = [await api.api(f"STREAM.INFO.{spec.name}") for spec in app.topology().streams]
    return {info["config"]["num_replicas"] for info in infos}


async def grouped(settings: ConnectionSettings) -> set[str]:
    """Which of the streams of outsiders take batches."""
    async with opened(settings) as bus:
        api = PatientApi(bus.requests)
        infos = [await api.api(f"STREAM.INFO.{name}") for name in ("EVENTS", "ANSWERS")]
    return {info["config"]["name"] for info in infos if info["config"].get("allow_atomic")}


async def incomplete(client: Client) -> list[Finding]:
    """What the doctor says of copies on servers that are gone."""
    with contextlib.suppress(BusError):  # there is no leader at the moment
        return [each for each in await client.doctor() if "server that fails" in each.message]
    return []


async def nothing_about_copies(client: Client) -> bool:
    """Whether all copies are there and up to date, as far as the doctor can see."""
    with contextlib.suppress(BusError):
        return "replicas" not in {each.subject for each in await client.doctor()}
    return False


async def test_existing_streams_get_as_many_copies_as_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, "1")
    cluster = Cluster(tmp_path)
    try:
        await cluster.start()  # with three
        settings = ConnectionSettings(servers=tuple(cluster.url.split(",")), timeout=30)
        assert await copies(settings) == {3}

        told = await provision(app, settings, replicas=1)
        assert "stream RUNS now keeps 1 copy instead of 3" in [finding.message for finding in told]
        assert await copies(settings) == {1}
        async with Client.connect(settings) as client:
            found = {finding.subject: finding for finding in await client.doctor()}
        assert found["replicas"].level == "warn"
        assert found["replicas"].advice == "Run `layby provision APP --replicas 3`."

        await until_done(lambda: provision(app, settings))
        assert await copies(settings) == {1}, "nobody asked for another number"
        assert await grouped(settings) == {"EVENTS", "ANSWERS"}
        await until_done(lambda: provision(app, settings, replicas=3))
        assert await copies(settings) == {3}
        assert await grouped(settings) == set(), "several copies stage in memory"
        async with Client.connect(settings) as client:
            await until(lambda: nothing_about_copies(client), 60)
            cluster.nodes[2].kill()
            [late] = await until(lambda: incomplete(client), 60)
            assert late.message.startswith("n3 is ")
            assert late.level == "warn"
    finally:
        cluster.kill()
