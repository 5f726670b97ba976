"""A restore that has no room, one that breaks off, and what came while the backup was made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus import snapshot
from layby.bus.connection import ConnectionSettings
from layby.bus.errors import BusError, TopologyMismatch
from layby.bus.inventory import info_of, own_streams
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.operations import restoring
from layby.operations.backing_up import back_up
from layby.operations.backup_folder import BackupFolder
from layby.operations.provisioning import provision
from layby.operations.restoring import NoRoom, RestoreBroken, RestoreRefused, restore
from layby.worker.worker import working
from tests.acceptance.test_backup import Killed, breaks_off_after, goes_on, held, parked
from tests.engine import until

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

WITHIN = 60.0
LIMITED = """
accounts {{ SMALL {{ jetstream: {{ {limit} }}, users: [{{ user: me, password: me }}] }} }}
no_auth_user: me
"""


def always(_: Any) -> bool:
    return True


async def fill(url: str, size: int) -> None:
    """Store events that cannot be compressed."""
    async with opened(ConnectionSettings(servers=(url,))) as bus:
        for _ in range(size // 100_000):
            await bus.requests.store("disaster.opened", os.urandom(100_000))


async def saved_with(folder: Path, size: int) -> Path:
    """A backup of a run that waits, and of so many bytes of events."""
    async with parked(folder) as old:
        await fill(old.url, size)
        await back_up(ConnectionSettings(servers=(old.url,)), folder / "saved")
    return folder / "saved"


async def with_events(settings: ConnectionSettings) -> App:
    app = App("disaster")

    @app.workflow(on="disaster.opened", key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> None: ...

    await provision(app, settings)
    return app


@pytest.mark.parametrize("whose", ["account", "server"])
async def test_without_room_nothing_is_removed(tmp_path: Path, whose: str) -> None:
    saved = await saved_with(tmp_path, 3_000_000)
    folder = tmp_path / "new"
    extra = (
        LIMITED.format(limit="max_file: 4M")
        if whose == "account"
        else f'jetstream {{ store_dir: "{folder}", max_file_store: 4M }}'
    )
    async with EmbeddedServer(folder, extra=extra) as new:
        here = ConnectionSettings(servers=(new.url,))
        await with_events(here)
        async with opened(here) as bus:
            other = {"name": "OTHER", "subjects": ["other"], "storage": "file"}
            await bus.requests.api("STREAM.CREATE.OTHER", other)
            for _ in range(20):
                await bus.requests.store("other", os.urandom(100_000))
        await fill(new.url, 500_000)
        before = await held(new.url)
        with pytest.raises(NoRoom, match=r"3\.0 MB .* 2\.0 MB .* max_file.*Nothing was changed"):
            await restore(here, saved, may_replace=always)
        assert await held(new.url) == before
        async with opened(here) as bus:
            await bus.requests.api("STREAM.DELETE.OTHER")
        await restore(here, saved, may_replace=always)  # what is replaced makes room


@pytest.mark.slow
async def test_streams_that_a_failed_restore_has_not_reached_are_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = await saved_with(tmp_path, 1_000_000)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        app = await with_events(here)
        await fill(new.url, 300_000)
        order = await made_in(here, saved, monkeypatch, stops_at=4)
        infos = await streams(here)
        assert len(infos) > 8
        async with opened(here) as bus:
            events = await bus.requests.api("STREAM.INFO.EVENTS")
        assert events["state"]["messages"] == 3, "it is replaced last, and is there still"
        with pytest.raises(Exception, match="layby restore"):
            await provision(app, here)
        with pytest.raises(RestoreBroken, match=r"still as before: .*EVENTS"):
            await breaking(here, saved, monkeypatch)
        again = await made_in(here, saved, monkeypatch)
        assert not set(order) & set(again), "it goes on"
        await goes_on(tmp_path, new)


async def streams(here: ConnectionSettings) -> list[str]:
    async with opened(here) as bus:
        return [info["config"]["name"] for info in await own_streams(bus.requests)]


async def made_in(
    here: ConnectionSettings, saved: Path, monkeypatch: pytest.MonkeyPatch, stops_at: int = 0
) -> list[str]:
    """The streams that a restore makes until it ends, or dies before the one at `stops_at`."""
    order: list[str] = []
    whole = snapshot.restore

    async def restoring(requests: Any, config: dict[str, Any], *rest: Any) -> Any:
        if stops_at and len(order) == stops_at:
            raise Killed
        order.append(config["name"])
        return await whole(requests, config, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "restore", restoring)
        try:
            await restore(here, saved, may_replace=always)
        except Killed:
            assert stops_at
    return order


async def breaking(here: ConnectionSettings, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore whose next stream cannot be read from the disk."""

    def unreadable(*_: object) -> Any:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(BackupFolder, "chunks", unreadable)
        await restore(here, saved, may_replace=always)


async def test_neither_what_streams_hold_nor_those_who_work_there_are_overlooked(
    tmp_path: Path,
) -> None:
    saved = await saved_with(tmp_path, 0)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        app = await with_events(here)
        await fill(new.url, 100_000)
        before = await held(new.url)
        with pytest.raises(RestoreRefused, match="there is something in EVENTS"):
            await restore(here, saved)
        assert await held(new.url) == before
        async with working(app, here):

            async def refused() -> bool:
                with pytest.raises(RestoreRefused) as refusal:
                    await restore(here, saved)
                return "stop all workers" in str(refusal.value)

            await until(refused, WITHIN)  # it says so once the worker waits for messages


@pytest.mark.slow
async def test_a_restore_interrupted_at_its_first_stream_lets_no_worker_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = await saved_with(tmp_path, 0)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        app = await with_events(here)
        with pytest.raises(RestoreBroken, match="no worker starts"):
            await breaking(here, saved, monkeypatch)
        with pytest.raises(TopologyMismatch, match="layby restore"):
            await provision(app, here)
        await restore(here, saved)
        await goes_on(tmp_path, new)


async def test_a_restore_that_died_while_it_let_workers_in_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = await saved_with(tmp_path, 0)
    release = restoring._release
    released = 0

    async def dies(*what: Any) -> None:
        nonlocal released
        if released == 3:
            raise Killed
        released += 1
        await release(*what)

    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        with monkeypatch.context() as patched:
            patched.setattr(restoring, "_release", dies)
            with pytest.raises(Killed):
                await restore(here, saved)
        await restore(here, saved)  # without --replace
        await goes_on(tmp_path, new)


def fails_first(fault: BusError, *, leaves: bool, times: int) -> Any:
    """A restore of EVENTS that fails some times, as one does in a cluster."""
    whole, tries = snapshot.restore, 0

    async def restoring(requests: Any, config: dict[str, Any], *rest: Any) -> Any:
        nonlocal tries
        if config["name"] == "EVENTS" and tries < times:
            tries += 1
            if leaves and tries == 1:
                await requests.api("STREAM.CREATE.EVENTS", {**config, "num_replicas": 1})
            raise fault
        return await whole(requests, config, *rest)

    return restoring


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "leaves", "times"),
    [
        (BusError("no responders"), True, 1),
        (BusError("stream name already in use", code=10130), False, 20),
    ],
    ids=["which left a stream without messages", "whose name is held for a while"],
)
async def test_a_stream_is_restored_after_a_try_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fault: BusError, leaves: bool, times: int
) -> None:
    saved = await saved_with(tmp_path, 0)
    monkeypatch.setattr(restoring, "_PAUSE", 1.0 / times)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        monkeypatch.setattr(snapshot, "restore", fails_first(fault, leaves=leaves, times=times))
        await restore(here, saved)
        await goes_on(tmp_path, new)


async def test_a_stream_of_somebody_else_is_not_removed_for_one_of_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = await saved_with(tmp_path, 0)
    whole = snapshot.restore

    async def comes_between(requests: Any, config: dict[str, Any], *rest: Any) -> Any:
        if config["name"] == "RUNS" and await info_of(requests, "RUNS") is None:
            await requests.api("STREAM.CREATE.RUNS", {"name": "RUNS", "subjects": ["theirs"]})
        return await whole(requests, config, *rest)

    monkeypatch.setattr(restoring, "_PAUSE", 0.01)
    monkeypatch.setattr(restoring, "_NAME_HELD", 0.1)
    monkeypatch.setattr(snapshot, "restore", comes_between)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        with pytest.raises(RestoreBroken, match="name already in use"):
            await restore(here, saved)
        async with opened(here) as bus:
            info = await bus.requests.api("STREAM.INFO.RUNS")
        assert info["config"]["subjects"] == ["theirs"]


async def test_a_restore_that_died_in_any_stream_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = await saved_with(tmp_path, 0)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        for stream in ("AUDIT", "EVENTS"):
            with monkeypatch.context() as patched:
                patched.setattr(snapshot, "restore", breaks_off_after(stream))
                with pytest.raises(Killed):
                    await restore(here, saved)
        await restore(here, saved)
        await goes_on(tmp_path, new)


async def test_the_work_of_a_workflow_added_during_the_backup_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    late = App("late")

    @late.workflow(on="disaster.opened", key="ticket")
    async def follow(event: dict[str, Any]) -> None:
        done.append(event["ticket"])

    save = snapshot.save

    async with EmbeddedServer(tmp_path / "old") as old:
        here = ConnectionSettings(servers=(old.url,))
        await with_events(here)
        async with Client.connect(here) as client:
            await client.send("disaster.opened", {"ticket": "before"})

            async def saving(connection: Any, requests: Any, stream: str, *rest: Any) -> Any:
                if stream == "EVENTS":  # the logs are saved already
                    await provision(late, here)
                    async with working(late, here):
                        await client.send("disaster.opened", {"ticket": "during"})
                        await until(lambda: settled(here), WITHIN)
                return await save(connection, requests, stream, *rest)

            with monkeypatch.context() as patched:
                patched.setattr(snapshot, "save", saving)
                await back_up(here, tmp_path / "saved")
    assert done == ["during"]
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        await restore(here, tmp_path / "saved")
        await provision(late, here)
        async with working(late, here), Client.connect(here) as client:
            await client.send("disaster.opened", {"ticket": "after"})

            async def both() -> bool:
                return sorted(done) == ["after", "during", "during"]

            await until(both, WITHIN)


async def settled(here: ConnectionSettings) -> bool:
    """Whether the late workflow has acknowledged its event."""
    async with opened(here) as bus:
        info = await bus.requests.api("CONSUMER.INFO.EVENTS.on-follow")
        return bool(info["ack_floor"]["stream_seq"] == 2)
