"""Timers are not lost with their stream, nor with the event of their run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from layby import App, AskTimedOut, Retry, Step
from layby.bus import snapshot
from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.bus.reading import every
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.operations.backing_up import back_up
from layby.operations.provisioning import provision
from layby.operations.restoring import restore
from layby.operations.standby import take_over
from layby.views.rows import RunRow
from layby.worker.worker import working
from tests.acceptance.test_standby import caught_up, joined, last_seqs
from tests.engine import until
from tests.standby import first_and_standby

pytestmark = [pytest.mark.nats, pytest.mark.timeout(180)]

WITHIN = 60.0
KINDS = ("sleeps", "fails", "takes long", "asks")
ENDS = {"sleeps": "completed", "fails": "completed", "takes long": "timed_out", "asks": "completed"}


class Desk:
    """An app whose runs wait for timers; nothing wakes them before `is_over`."""

    def __init__(self, waits: str = "6s") -> None:
        """`waits`: how long each timer takes."""
        self.is_over = False
        self.app = App("timers", events=["timers.never"])
        again = Retry(attempts=9, first=waits, longest="2h", factor=1.0)

        @self.app.workflow(on="timers.opened", key="ticket")
        async def handle(event: dict[str, Any], step: Step) -> str:
            if event["ticket"] == "sleeps":
                await step.sleep(waits)
            if event["ticket"] == "fails":
                await step.run("try", self.attempt, retry=again)
            if event["ticket"] == "asks":
                try:
                    await step.ask("developer", "Go on?", timeout=waits)
                except AskTimedOut:
                    return "nobody answered"
            return "done"

        @self.app.workflow(on="timers.limited", key="ticket", timeout=waits)
        async def limited(_: dict[str, Any], step: Step) -> None:
            await step.sleep("9h")

    def attempt(self) -> str:
        if not self.is_over:
            raise RuntimeError("not yet")
        return "worked"

    async def waiting(self, client: Client) -> None:
        """All runs, as they wait."""
        for kind in KINDS:
            limited = kind == "takes long"
            subject = "timers.limited" if limited else "timers.opened"
            await client.send(subject, {"ticket": kind})

        async def wait() -> bool:
            rows = await client.runs()
            return len(rows) == len(KINDS) and all(row.status == "waiting" for row in rows)

        await until(wait, WITHIN)

    @asynccontextmanager
    async def without_events(self, here: ConnectionSettings) -> AsyncGenerator[Client]:
        """A worker of a server whose events have expired."""
        async with opened(here) as bus:
            await bus.requests.api("STREAM.PURGE.EVENTS")
        self.is_over = True
        async with working(self.app, here), Client.connect(here) as client:
            yield client


async def ended(client: Client) -> dict[str, str]:
    """How the runs ended, once all have."""

    async def look() -> list[RunRow]:
        rows = await client.runs()
        return rows if all(row.status in ENDS.values() for row in rows) else []

    return {row.ticket: row.status for row in await until(look, WITHIN)}


@pytest.mark.slow
async def test_a_takeover_arms_the_timers_of_runs_whose_events_are_gone(tmp_path: Path) -> None:
    first, second = first_and_standby(tmp_path)
    async with first, second:
        there = ConnectionSettings(servers=(first.url,))
        here = ConnectionSettings(servers=(second.url,))
        desk = Desk()
        await provision(desk.app, there)
        await until(lambda: joined(here), WITHIN)
        async with working(desk.app, there), Client.connect(there) as client:
            await desk.waiting(client)
        ends = await last_seqs(first.url)
        await caught_up(here, ends)
        first.kill()
        done = await take_over([desk.app], here)
        assert done.waiting == len(KINDS)
        async with desk.without_events(here) as client:
            assert await ended(client) == ENDS


async def back_up_before_timers(
    desk: Desk, here: ConnectionSettings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back up a server on which all runs begin right after its timers were saved."""
    save = snapshot.save
    await provision(desk.app, here)
    async with working(desk.app, here), Client.connect(here) as client:

        async def saving(connection: Any, requests: Any, stream: str, *rest: Any) -> Any:
            saved = await save(connection, requests, stream, *rest)
            if stream == "TIMERS":
                await desk.waiting(client)
            return saved

        with monkeypatch.context() as patched:
            patched.setattr(snapshot, "save", saving)
            await back_up(here, folder)


@pytest.mark.slow
async def test_a_restore_arms_timers_that_were_armed_while_the_backup_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    async with EmbeddedServer(tmp_path / "old") as old:
        here = ConnectionSettings(servers=(old.url,))
        await back_up_before_timers(desk, here, tmp_path / "saved", monkeypatch)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        await restore(here, tmp_path / "saved")
        async with desk.without_events(here) as client:
            assert await ended(client) == ENDS


async def armed(here: ConnectionSettings) -> set[str]:
    """The subjects of the timers that a server holds."""
    async with opened(here) as bus:
        return {
            message.headers["Nats-Subject"]
            async for message in every(bus.requests, "TIMERS", "timer.>")
        }


@pytest.mark.slow
async def test_all_timers_that_a_backup_lacks_are_there_before_they_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk("1h")
    async with EmbeddedServer(tmp_path / "old") as old:
        here = ConnectionSettings(servers=(old.url,))
        await back_up_before_timers(desk, here, tmp_path / "saved", monkeypatch)
        wanted = await armed(here)
    assert len(wanted) == len(KINDS) + 1, "a limit, and the sleep that it cuts short"
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        await restore(here, tmp_path / "saved")
        assert await armed(here) == set()
        async with opened(here) as bus:
            await bus.requests.api("STREAM.PURGE.EVENTS")
        async with working(desk.app, here):

            async def look() -> bool:
                return wanted <= await armed(here)

            await until(look, WITHIN)


async def test_no_timer_is_sought_for_runs_that_have_ended(tmp_path: Path) -> None:
    desk = Desk()
    desk.is_over = True
    async with EmbeddedServer(tmp_path / "old") as old:
        here = ConnectionSettings(servers=(old.url,))
        await provision(desk.app, here)
        async with working(desk.app, here), Client.connect(here) as client:
            await client.send("timers.opened", {"ticket": "fails"})
            await ended(client)
        await back_up(here, tmp_path / "saved")
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        await restore(here, tmp_path / "saved")
        async with opened(here) as bus:
            info = await bus.requests.api("STREAM.INFO.TIMERS")
        assert info["state"]["messages"] == 0
