"""A cluster is lost, and the one that mirrored it goes on with its runs."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import PublishUnconfirmed
from layby.bus.inventory import own_streams
from layby.bus.opened import opened
from layby.bus.topology import Provisioner
from layby.operations.standby import MirrorRow, StandbyRefused, follow, take_over
from tests.acceptance.test_backup import APP, WITHIN, shop
from tests.disaster_app import app
from tests.engine import until
from tests.fix_layby import Desk
from tests.standby import FIRST, first_and_standby

pytestmark = [pytest.mark.nats, pytest.mark.timeout(300)]


async def last_seqs(url: str) -> dict[str, int]:
    async with opened(ConnectionSettings(servers=(url,))) as bus:
        infos = await own_streams(bus.requests)
    return {info["config"]["name"]: info["state"]["last_seq"] for info in infos}


async def caught_up(here: ConnectionSettings, ends: dict[str, int]) -> list[MirrorRow]:
    """The mirrors, once they hold what the other server had."""

    async def look() -> list[MirrorRow]:
        rows = await follow(here, FIRST)
        return rows if all(row.last_seq >= ends[row.stream] for row in rows) else []

    return await until(look, WITHIN)


async def joined(here: ConnectionSettings) -> list[MirrorRow]:
    """The new mirrors, once the leaf node has found the other server."""
    with contextlib.suppress(StandbyRefused):
        return await follow(here, FIRST)
    return []


async def breaks_off(here: ConnectionSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A takeover that ends before consumers are there."""

    async def ensure(*_: object) -> list[str]:
        raise PublishUnconfirmed

    with monkeypatch.context() as patched:
        patched.setattr(Provisioner, "ensure", ensure)
        with pytest.raises(PublishUnconfirmed):
            await take_over([app], here)


async def commands_left(url: str) -> int:
    async with opened(ConnectionSettings(servers=(url,))) as bus:
        audit = await bus.requests.api("STREAM.INFO.AUDIT")
        assert audit["state"]["messages"] == 2, "a command and its outcome"
        return int((await bus.requests.api("CONSUMER.INFO.AUDIT.commands"))["num_pending"])


@pytest.mark.slow
async def test_the_standby_finishes_what_its_mirrors_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = first_and_standby(tmp_path)
    async with first, second, shop(tmp_path, first) as old:
        here = ConnectionSettings(servers=(second.url,))
        worker = await asyncio.to_thread(old.start_worker)
        await until(lambda: joined(here), WITHIN)
        for number in range(4):
            await old.open(f"P{number}", "asks")
            await old.open(f"T{number}", "talks")
            await old.open(f"S{number}", "sleeps", f"{6 + number * 6}s")
            await old.open(f"E{number}", "asks", f"{6 + number * 6}s")
        for number in range(4):
            await old.asked(f"P{number}")
        await old.client.purge(30 * 24 * 3600)
        with pytest.raises(StandbyRefused, match="answers on"):
            await take_over([app], here)
        coming = [asyncio.create_task(each()) for each in (old.customers, old.people)]

        async def busy() -> bool:
            return len(old.answered) >= 5

        await until(busy, WITHIN)
        opened_before, answered = list(old.opened), list(old.answered)
        ends = await last_seqs(first.url)

        rows = await caught_up(here, ends)
        assert not any(row.made for row in rows)
        assert {row.stream for row in rows} == ends.keys() - {"TIMERS"}
        failed = await asyncio.to_thread(Desk(tmp_path, second.url).run, "worker", APP)
        assert "mirrors another cluster" in failed.stderr
        first.kill()
        for each in coming:
            each.cancel()
        worker.kill()
        await asyncio.to_thread(old.desk.stop_workers)

        async with shop(tmp_path, second) as new:
            await breaks_off(here, monkeypatch)
            failed = await asyncio.to_thread(new.desk.run, "worker", APP)
            assert "taken over, or that was interrupted" in failed.stderr
            said = await asyncio.to_thread(new.desk.json, "standby", "take-over", APP)
            assert "created stream TIMERS" in said["changes"]
            assert await commands_left(second.url) == 0, "what has an outcome is not done again"
            try:
                await asyncio.to_thread(new.start_worker)
                await new.goes_on(opened_before, answered)
            finally:
                await asyncio.to_thread(new.desk.stop_workers)
            assert max(new.charged().values()) <= 2
