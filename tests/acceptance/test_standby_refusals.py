"""When a standby does not take over, and what a takeover leaves alone."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus import snapshot
from layby.bus.connection import ConnectionSettings
from layby.bus.inventory import consumers, own_streams
from layby.bus.mirroring import mirror_of
from layby.bus.opened import opened
from layby.bus.ownership import mark
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.bus.topology import Provisioner
from layby.operations.backing_up import NothingToSave, back_up
from layby.operations.declaring import declare
from layby.operations.provisioning import provision
from layby.operations.restoring import RestoreRefused, restore
from layby.operations.standby import StandbyRefused, take_over
from tests.acceptance.test_backup import Killed, breaks_off_after, can_store
from tests.chaos.cluster import Cluster
from tests.disaster_app import app
from tests.engine import until_done

pytestmark = pytest.mark.nats

API = "$JS.berlin.API"
LOGINS = """
authorization {{
  users: [
    {{ user: boss, password: boss }}
    {{ user: mover, password: mover, permissions: {{ publish: {{ deny: "{denied}" }} }} }}
  ]
}}
"""


async def mirror(requests: Requests, replicas: int = 1) -> None:
    """A mirror of a stream in a cluster that nothing leads to."""
    source = {
        "name": "EVENTS",
        "subjects": ["disaster.opened"],
        "storage": "file",
        "allow_direct": True,
        "metadata": mark(requests.names),
    }
    await requests.api("STREAM.CREATE.EVENTS", mirror_of(source, API, replicas))


@asynccontextmanager
async def standby(folder: Path, denied: str = "nothing") -> AsyncGenerator[EmbeddedServer]:
    async with EmbeddedServer(folder, extra=LOGINS.format(denied=denied)) as server:
        async with opened(login(server, "boss")) as bus:
            await mirror(bus.requests)
        yield server


def login(server: EmbeddedServer, user: str) -> ConnectionSettings:
    return ConnectionSettings(servers=(server.url,), user=user, password=user)


async def test_a_refusal_shows_that_the_first_cluster_is_up(tmp_path: Path) -> None:
    async with standby(tmp_path) as server, opened(login(server, "boss")) as other:
        asked = 0

        async def refuse(message: Any) -> None:
            nonlocal asked
            asked += 1
            if asked > 1:  # the first request is lost
                await other.requests.publish(
                    message.reply, b'{"error":{"code":503,"err_code":10008,"description":"none"}}'
                )

        await other.connection.nc.subscribe(f"{API}.INFO", cb=refuse)
        with pytest.raises(StandbyRefused, match="answers on"):
            await take_over([app], login(server, "mover"))
        assert asked == 2


async def test_a_user_who_may_not_ask_does_not_take_over(tmp_path: Path) -> None:
    async with standby(tmp_path, denied=f"{API}.>") as server:
        with pytest.raises(StandbyRefused, match=r"publish to \$JS\.berlin\.API\.INFO"):
            await take_over([app], login(server, "mover"))
        async with opened(login(server, "boss")) as bus:
            info = await bus.requests.api("STREAM.INFO.EVENTS")
            assert "mirror" in info["config"], "nothing was changed"


async def test_events_of_runs_that_are_gone_start_nothing(tmp_path: Path) -> None:
    shop = App("shop", retention="10d")

    @shop.workflow(on="disaster.opened", key="ticket")
    async def kept(event: dict[str, Any], step: Step) -> None: ...

    @shop.workflow(on="disaster.packed", key="ticket", retention="50m")
    async def brief(event: dict[str, Any], step: Step) -> None: ...

    forever = App("forever")

    @forever.workflow(on="disaster.held", key="ticket")
    async def held(event: dict[str, Any], step: Step) -> None: ...

    async with standby(tmp_path) as server:
        now = time.time()
        await take_over([shop, forever], login(server, "boss"), force=True)
        async with opened(login(server, "boss")) as bus:
            begins = {
                each["config"]["filter_subject"]: each["config"]
                for each in await consumers(bus.requests, "EVENTS")
            }
    for subject, age in (("opened", 10 * 86_400 - 3_600), ("packed", 45 * 60)):
        config = begins[f"disaster.{subject}"]
        assert config["deliver_policy"] == "by_start_time"
        at = datetime.fromisoformat(config["opt_start_time"]).timestamp()
        assert now - age - 1 < at < time.time() - age + 1
    assert begins["disaster.held"]["deliver_policy"] == "all"


async def breaks_off(*_: object) -> list[str]:
    """Stands for the death of the process."""
    raise Killed


async def test_takeover_and_restore_do_not_continue_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "saved"
    async with EmbeddedServer(tmp_path / "old") as old:
        await provision(app, ConnectionSettings(servers=(old.url,)))
        await back_up(ConnectionSettings(servers=(old.url,)), saved)
    async with standby(tmp_path / "standby") as server:
        here = login(server, "boss")
        with monkeypatch.context() as patched:
            patched.setattr(Provisioner, "ensure", breaks_off)
            with pytest.raises(Killed):
                await take_over([app], here, force=True)
        with pytest.raises(RestoreRefused, match="run `layby standby take-over` to its end"):
            await restore(here, saved, may_replace=lambda _: True)
        with pytest.raises(NothingToSave, match="run `layby standby take-over` to its end"):
            await back_up(here, tmp_path / "again")
        await take_over([app], here, force=True)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        with monkeypatch.context() as patched:
            patched.setattr(snapshot, "restore", breaks_off_after("EVENTS"))
            with pytest.raises(Killed):
                await restore(here, saved)
        with pytest.raises(StandbyRefused, match="run `layby restore` to its end"):
            await take_over([app], here, force=True)
        async with opened(here) as bus:
            await bus.requests.store("disaster.opened", b"{}")
        with pytest.raises(RestoreRefused, match="there is something in EVENTS"):
            await restore(here, saved)
        await restore(here, saved, may_replace=lambda _: True)


async def test_an_interrupted_takeover_still_asks_the_first_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standby(tmp_path, denied=f"{API}.>") as server:
        with monkeypatch.context() as patched:
            patched.setattr(Provisioner, "ensure", breaks_off)
            with pytest.raises(Killed):
                await take_over([app], login(server, "boss"), force=True)
        with pytest.raises(StandbyRefused, match="to publish to"):
            await take_over([app], login(server, "mover"))


async def test_all_apps_are_named_or_said_to_be_gone(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        here = ConnectionSettings(servers=(server.url,))
        await provision(app, here)
        async with opened(here) as bus:
            for each in (app, App("other")):
                await declare(each, bus.requests, "")
            await bus.requests.api("STREAM.DELETE.EVENTS")
            await mirror(bus.requests)
            with pytest.raises(StandbyRefused, match="have run here too: other"):
                await take_over([app], here, force=True)
            info = await bus.requests.api("STREAM.INFO.EVENTS")
            assert "mirror" in info["config"], "nothing was changed"
        await take_over([app], here, force=True, gone=["other"])


@pytest.mark.proof
async def test_new_streams_have_as_many_copies_as_the_mirrors(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    try:
        await cluster.up()
        here = ConnectionSettings(servers=(cluster.nodes[0].url,))
        await until_done(lambda: can_store(here))
        async with opened(here) as bus:
            await mirror(bus.requests, replicas=3)
            await take_over([app], here, force=True)
            infos = await own_streams(bus.requests)
        assert "TIMERS" in {info["config"]["name"] for info in infos}
        assert {info["config"]["num_replicas"] for info in infos} == {3}
    finally:
        cluster.kill()
