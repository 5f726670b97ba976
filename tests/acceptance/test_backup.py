"""A backup that is made while workers work, and the account that is restored from it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest

from layby.bus import snapshot
from layby.bus.connection import ConnectionSettings
from layby.bus.errors import BusError
from layby.bus.inventory import consumers, own_streams
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.operations.backing_up import NothingToSave, back_up
from layby.operations.backup_folder import BackupFolder, BackupUnusable
from layby.operations.provisioning import provision
from layby.operations.restoring import restore
from tests.chaos.cluster import Cluster
from tests.command import Command
from tests.disaster_app import CHARGES, STEPS, app
from tests.engine import until, until_done
from tests.fix_layby import Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent.parent
APP = "tests.disaster_app:app"
WITHIN = 120.0


class Shop:
    """A server with two workers, customers that come all the time, and people who answer."""

    def __init__(self, folder: Path, url: str, client: Client) -> None:
        self.desk = Desk(folder, url)
        self.client = client
        self.charges = folder / "charges"
        self.opened: list[tuple[str, str]] = []
        """Tickets whose events were acknowledged, and their kinds."""
        self.answered: list[str] = []
        """Tickets whose answers were accepted."""

    def start_worker(self) -> Command:
        return self.desk.start_worker(app=APP, **{CHARGES: str(self.charges)})

    async def open(self, ticket: str, kind: str, for_: str = "4h") -> None:
        event = {"ticket": ticket, "kind": kind, "for": for_}
        await self.client.send("disaster.opened", event)
        self.opened.append((ticket, kind))

    async def customers(self) -> None:
        """Open tickets and answer questions until cancelled."""
        for number in itertools.count():
            await self.open(f"W{number}", "works")
            await self.open(f"A{number}", "asks")
            await self.answer(f"A{number}", "accepted")

    async def people(self) -> None:
        """Answer the questions of those who talk until cancelled."""
        while True:
            asked = {q.ticket for q in await self.client.questions() if q.ticket[0] == "T"}
            await asyncio.gather(*map(self.talk, sorted(asked)))
            await asyncio.sleep(0.02)

    async def talk(self, ticket: str) -> None:
        receipt = await self.client.answer(ticket, "go on", timeout=WITHIN)
        if receipt.outcome == "accepted":
            self.answered.append(ticket)

    async def answer(self, ticket: str, *outcomes: str) -> None:
        await self.asked(ticket)
        receipt = await self.client.answer(ticket, f"for {ticket}", timeout=WITHIN)
        assert receipt.outcome in outcomes, receipt
        self.answered.append(ticket)

    async def asked(self, ticket: str) -> Any:
        return (await until(lambda: self.client.asked(ticket), WITHIN))[0]

    async def result(self, ticket: str) -> str:
        async def look() -> Any:
            rows = await self.client.runs(ticket=ticket)
            return next((row for row in rows if row.status == "completed"), None)

        row = await until(look, WITHIN)
        return str((await self.client.show(row.id)).result)

    async def goes_on(self, opened: list[tuple[str, str]], answered: list[str]) -> None:
        """See that all that was opened ends as it should, and that what is new works too."""
        async with asyncio.TaskGroup() as group:  # if nobody talks any longer, it says why
            talking = group.create_task(self.people())
            for ticket, kind in opened:
                await self.ends(ticket, kind, answered)
            talking.cancel()
        await self.open("later", "works")
        assert await self.result("later") == "packed"
        findings = await self.client.doctor()
        assert [each for each in findings if each.level == "error"] == []
        assert await self.client.dead() == []

    async def ends(self, ticket: str, kind: str, answered: list[str]) -> None:
        """Check that a ticket ends as it should; `answered`: those that need no answer."""
        expected = {"works": "packed", "sleeps": "slept", "talks": "talked"}.get(
            kind, f"for {ticket}"
        )
        if ticket.startswith("E"):
            expected = "nobody answered"
        elif kind == "asks" and ticket not in answered:
            # It may have been answered while the backup was made.
            await self.answer(ticket, "accepted", "already_answered")
        assert await self.result(ticket) == expected

    def charged(self) -> Counter[str]:
        return Counter(self.charges.read_text().split())


@asynccontextmanager
async def shop(folder: Path, server: EmbeddedServer) -> AsyncGenerator[Shop]:
    async with Client.connect(ConnectionSettings(servers=(server.url,))) as client:
        yield Shop(folder, server.url, client)


def strain(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    """Let a lot happen between the moments at which two streams are saved."""
    save = snapshot.save

    async def after_more(*what: Any) -> Any:
        before = len(shop.answered)

        async def more() -> bool:
            return len(shop.answered) >= before + 3

        await until(more, WITHIN)
        return await save(*what)

    monkeypatch.setattr(snapshot, "save", after_more)


@pytest.mark.slow
async def test_everything_acknowledged_before_a_backup_continues_after_its_restore(
    tmp_path: Path, own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backup"
    async with shop(tmp_path, own_server) as old:
        workers = [await asyncio.to_thread(old.start_worker) for _ in range(2)]
        for number in range(4):
            await old.open(f"P{number}", "asks")
            await old.open(f"T{number}", "talks")
            await old.open(f"S{number}", "sleeps", f"{4 + number * 4}s")
            await old.open(f"E{number}", "asks", f"{4 + number * 4}s")
        for number in range(4):
            await old.asked(f"P{number}")
        parked = old.charged()
        coming = [asyncio.create_task(each()) for each in (old.customers, old.people)]

        async def busy() -> bool:
            return len(old.answered) >= 5

        await until(busy, WITHIN)
        opened, answered = list(old.opened), list(old.answered)
        strain(monkeypatch, old)
        manifest = await back_up(ConnectionSettings(servers=(own_server.url,)), folder)
        assert manifest.complete
        for each in coming:
            each.cancel()
        for worker in workers:
            worker.kill()
        await asyncio.to_thread(old.desk.stop_workers)
    own_server.kill()
    shutil.rmtree(own_server.data)

    async with EmbeddedServer(tmp_path / "new") as fresh, shop(tmp_path, fresh) as new:
        restored = await asyncio.to_thread(new.desk.json, "restore", str(folder))
        assert set(restored["streams"]) == {part.stream for part in manifest.parts}
        said = await asyncio.to_thread(new.desk.json, "provision", APP)
        assert [each["message"] for each in said] == ["everything is there already"]
        try:
            for _ in range(2):
                await asyncio.to_thread(new.start_worker)
            await new.goes_on(opened, answered)
        finally:
            await asyncio.to_thread(new.desk.stop_workers)
        done = new.charged()
        for what in (what for what in parked if what.endswith("-first")):
            assert done[what] == 1, what
        assert max(done.values()) <= 2, "once before the loss, and once after it"
        for ticket, kind in opened:
            steps = ["first", *map(str, range(STEPS)), "packed"] if kind == "works" else ["first"]
            assert all(done[f"{ticket}-{step}"] for step in steps)


async def of_cli(url: str, *words: str) -> str:
    """What the nats CLI says."""
    nats = shutil.which("nats") or shutil.which("nats", path=ROOT / ".ci" / "bin")
    if nats is None:
        pytest.skip("the nats CLI is not on PATH")
    process = await asyncio.create_subprocess_exec(
        *(nats, "--server", url, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), WITHIN)
    assert process.returncode == 0, out.decode()
    return out.decode()


async def held(url: str) -> dict[str, Any]:
    """All streams and consumers of a server: their settings, and how much they hold."""
    found: dict[str, Any] = {}
    async with opened(ConnectionSettings(servers=(url,))) as bus:
        for info in await own_streams(bus.requests):
            config = info["config"]
            metadata = {k: v for k, v in config["metadata"].items() if not k.startswith("_nats")}
            state = {key: info["state"][key] for key in ("messages", "last_seq")}
            readers = {
                each["name"]: each["ack_floor"]["stream_seq"]
                for each in await consumers(bus.requests, config["name"])
            }
            found[config["name"]] = ({**config, "metadata": metadata}, state, readers)
    return found


@asynccontextmanager
async def parked(folder: Path) -> AsyncGenerator[EmbeddedServer]:
    """A server with a run that waits for an answer, and no worker."""
    async with EmbeddedServer(folder / "old") as server, shop(folder, server) as old:
        await asyncio.to_thread(old.start_worker)
        await old.open("T1", "asks")
        await old.asked("T1")
        await until(old.client.runs, WITHIN)
        await asyncio.to_thread(old.desk.stop_workers)
        yield server


async def goes_on(folder: Path, server: EmbeddedServer) -> None:
    async with shop(folder, server) as new:
        await asyncio.to_thread(new.start_worker)
        try:
            await new.answer("T1", "accepted")
            assert await new.result("T1") == "for T1"
        finally:
            await asyncio.to_thread(new.desk.stop_workers)


@pytest.mark.parametrize("how", ["layby", "layby to cli", "cli to layby"])
async def test_layby_and_the_nats_cli_read_each_others_backups(tmp_path: Path, how: str) -> None:
    saved = tmp_path / "saved"
    async with parked(tmp_path) as old:
        before = await held(old.url)
        if how == "cli to layby":
            await of_cli(old.url, "account", "backup", "--force", str(saved))
        else:
            await back_up(ConnectionSettings(servers=(old.url,)), saved)
    async with EmbeddedServer(tmp_path / "new") as new:
        if how == "layby to cli":
            await of_cli(new.url, "account", "restore", str(saved / "streams"))
        else:
            await restore(ConnectionSettings(servers=(new.url,)), saved)
        after = await held(new.url)
        if how != "layby to cli":  # the run's timers are looked after
            assert after["TIMERS"][1].pop("messages") == before["TIMERS"][1].pop("messages") + 1
            assert after["TIMERS"][1].pop("last_seq") == before["TIMERS"][1].pop("last_seq") + 1
        assert after == before
        await goes_on(tmp_path, new)


async def test_only_a_complete_and_unchanged_backup_is_restored(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    async with parked(tmp_path) as old:
        settings = ConnectionSettings(servers=(old.url,))
        await back_up(settings, saved)
        with pytest.raises(BackupUnusable, match="is not empty"):
            await back_up(settings, saved)
    async with EmbeddedServer(tmp_path / "new") as new:
        settings = ConnectionSettings(servers=(new.url,))
        with pytest.raises(NothingToSave):
            await back_up(settings, tmp_path / "none")
        with pytest.raises(BackupUnusable, match=f"name {saved}$"):
            await restore(settings, saved / "streams")
        data = saved / "streams" / "KV_parked" / "stream.tar.s2"
        right = data.read_bytes()
        for wrong in (right[:-1], bytes([right[0] ^ 1]) + right[1:], b""):
            data.write_bytes(wrong)
            with pytest.raises(BackupUnusable, match=r"differs from the manifest"):
                await restore(settings, saved)
        data.unlink()
        with pytest.raises(BackupUnusable, match="cannot be read"):
            await restore(settings, saved)
        data.write_bytes(right)
        manifest = BackupFolder(saved).read()
        stolen = [
            msgspec.structs.replace(manifest.parts[0], stream=name)
            for name in ("../../etc", "..", "", "A.B", "*", "A B", "A\n", "A\0")
        ]
        for other, why in (
            (msgspec.structs.replace(manifest, complete=False), "incomplete"),
            (msgspec.structs.replace(manifest, format=2), "format 2"),
            *(
                (msgspec.structs.replace(manifest, parts=(part,)), "not the name of a stream")
                for part in stolen
            ),
        ):
            BackupFolder(saved).write(other)
            with pytest.raises(BackupUnusable, match=why):
                await restore(settings, saved)
        (saved / "manifest.json").write_bytes(b"{")
        with pytest.raises(BackupUnusable, match="not the manifest"):
            await restore(settings, saved)
        with pytest.raises(BackupUnusable, match="neither"):
            await restore(settings, tmp_path)
        assert await held(new.url) == {}, "nothing was changed"


async def test_a_full_disk_is_reported(
    tmp_path: Path, own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    await provision(app, settings)

    def full(*_: Any) -> BinaryIO:
        return Path("/dev/full").open("wb")

    monkeypatch.setattr(BackupFolder, "new_stream", full)
    with pytest.raises(BackupUnusable, match="make room, and back up to a new folder"):
        await back_up(settings, tmp_path / "saved")


async def test_streams_that_hold_something_are_replaced_only_when_told(tmp_path: Path) -> None:
    saved, more = tmp_path / "saved", ("--replace", "--yes")
    async with parked(tmp_path) as old, shop(tmp_path, old) as there:
        desk = there.desk
        await asyncio.to_thread(desk.json, "backup", str(saved))
        await there.open("T2", "asks")
        failed = await asyncio.to_thread(desk.run, "restore", str(saved))
        assert failed.returncode == 1
        assert "EVENTS" in failed.stderr
        assert "--replace" in failed.stderr
        failed = await asyncio.to_thread(desk.run, "restore", str(saved), "--replace")
        assert failed.returncode == 2
        assert "EVENTS (2 messages)" in failed.stderr
        await asyncio.to_thread(there.start_worker)
        failed = await asyncio.to_thread(desk.run, "restore", str(saved), *more)
        assert "stop all workers" in failed.stderr

        async def both() -> bool:
            return len(await there.client.runs()) == 2

        await until(both, WITHIN)
        await asyncio.to_thread(desk.stop_workers)

        async def gone() -> bool:
            listed = [
                each for name in ("EVENTS", "TIMERS") for each in await of_stream(old.url, name)
            ]
            return not any(each["num_waiting"] for each in listed)

        await until(gone, WITHIN)
        await asyncio.to_thread(desk.json, "restore", str(saved), *more)
        assert [row.ticket for row in await there.client.runs()] == ["T1"]
        await goes_on(tmp_path, old)


async def of_stream(url: str, stream: str) -> list[dict[str, Any]]:
    async with opened(ConnectionSettings(servers=(url,))) as bus:
        return await consumers(bus.requests, stream)


@pytest.mark.slow
async def test_no_worker_starts_before_an_interrupted_restore_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "saved"
    async with parked(tmp_path) as old:
        await back_up(ConnectionSettings(servers=(old.url,)), saved)
    order = [part.stream for part in BackupFolder(saved).read().parts]
    for last in (order[0], "RUNS", order[-1]):
        async with EmbeddedServer(tmp_path / f"new-{last}") as new:
            settings = ConnectionSettings(servers=(new.url,))
            with monkeypatch.context() as patched:
                patched.setattr(snapshot, "restore", breaks_off_after(last))
                with pytest.raises(Killed):
                    await restore(settings, saved)
            desk = Desk(tmp_path, new.url)
            for words in (("worker", APP), ("provision", APP)):
                failed = await asyncio.to_thread(desk.run, *words)
                assert failed.returncode == 1
                assert "that was interrupted: run `layby restore`" in failed.stderr
            with pytest.raises(NothingToSave, match="interrupted"):
                await back_up(settings, tmp_path / f"again-{last}")
            await restore(settings, saved)  # without --replace: all of it is the backup's
            await goes_on(tmp_path, new)


class Killed(Exception):
    """Stands for the death of the process."""


def breaks_off_after(stream: str) -> Any:
    whole = snapshot.restore

    async def restoring(requests: Any, config: dict[str, Any], *rest: Any) -> Any:
        info = await whole(requests, config, *rest)
        if config["name"] == stream:
            raise Killed
        return info

    return restoring


@pytest.mark.proof
async def test_three_copies_are_restored_to_a_cluster_and_to_one_server(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    old, new = Cluster(tmp_path / "old"), Cluster(tmp_path / "new")
    try:
        await old.up()
        settings = ConnectionSettings(servers=(old.nodes[0].url,))
        await until_done(lambda: provision(app, settings, replicas=3))
        async with shop(tmp_path, old.nodes[0]) as there:
            await asyncio.to_thread(there.start_worker)
            await there.open("T1", "asks")
            await there.asked("T1")
            await until(there.client.runs, WITHIN)
            await asyncio.to_thread(there.desk.stop_workers)
        await back_up(settings, saved)
        before = await held(settings.servers[0])
        await old.down()

        await new.up()
        settings = ConnectionSettings(servers=(new.nodes[0].url,))
        await until_done(lambda: can_store(settings))
        await restore(settings, saved)
        after = await held(settings.servers[0])
        for count in ("messages", "last_seq"):  # what tells workers to look after the run's timers
            assert after["TIMERS"][1].pop(count) == before["TIMERS"][1].pop(count) + 1
        assert {name: each[1] for name, each in after.items()} == {
            name: each[1] for name, each in before.items()
        }
        assert {each[0]["num_replicas"] for each in after.values()} == {3}
        await goes_on(tmp_path, new.nodes[0])
        await new.down()
    finally:
        old.kill()
        new.kill()
    async with EmbeddedServer(tmp_path / "one") as one:
        settings = ConnectionSettings(servers=(one.url,))
        with pytest.raises(BusError, match="replicas"):
            await restore(settings, saved)
        await restore(settings, saved, replicas=1)
        await goes_on(tmp_path, one)


async def can_store(settings: ConnectionSettings) -> None:
    """Return once a cluster has elected who decides what streams there are."""
    async with opened(settings) as bus:
        await bus.requests.api("INFO")
