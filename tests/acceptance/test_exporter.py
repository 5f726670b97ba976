"""What Prometheus learns from the streams, whatever the workers do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from layby.bus.opened import opened
from layby.bus.reading import newest
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.health.traffic import traffic
from layby.metrics import unresumed as module
from layby.metrics.families import FAMILIES
from layby.metrics.unresumed import unresumed
from tests.command import Command
from tests.fix_browser import console_on
from tests.fix_layby import APP, Desk
from tests.http_api import Api
from tests.scraping import Scrape, answers, free_port, seen

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Generator[Desk]:
    (tmp_path / "desk.py").write_text(APP)
    made = Desk(tmp_path, own_server.url)
    try:
        yield made
    finally:
        made.stop_workers()


@contextlib.contextmanager
def exporting(desk: Desk, *options: str, **environ: str) -> Generator[int]:
    port = free_port()
    process: Command = desk.start("exporter", "--metrics-port", str(port), *options, **environ)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)
        process.close()
    assert process.returncode == 143


def test_the_exporter_shows_what_the_streams_say(desk: Desk) -> None:
    with exporting(desk) as port:
        assert answers(port, "/healthz", 200)
        desk.start_worker("--name", "one")
        before = time.time()
        for ticket in ("T1", "T2", "T3"):
            desk.open_ticket(ticket)
        runs = {"workflow": "handle", "status": "waiting"}
        found = seen(
            port,
            lambda it: (
                it.value("layby_question_open", role="developer") == 3
                and it.value("layby_runs", **runs) == 3
                and it.value("layby_workers", state="running") == 1
            ),
        )
        oldest = found.value("layby_question_oldest_timestamp_seconds", role="developer")
        assert oldest is not None
        assert before - 5 < oldest < time.time() + 5
        assert found.value("layby_streams_up") == 1
        assert found.value("layby_answered_not_resumed") == 0
        assert found.value("layby_dead_letters") == 0
        assert found.value("layby_releases", app="desk") == 1
        box = {"stream": "RUNS", "mailbox": "workflow-handle"}
        assert found.value("layby_mailbox_pending", **box) == 0
        assert (found.value("layby_stream_messages", stream="RUNS") or 0) > 0
        assert (found.value("layby_limit", kind="stream", name="ANSWERS") or 0) > 0
        served = {each.name for each in found.families if each.name.startswith("layby")}
        assert served == {each.name for each in FAMILIES if each.source != "worker"}
        assert answers(port, "/readyz", 200)
        desk.json("answer", "T1", "done")
        after = seen(
            port, lambda it: it.value("layby_runs", workflow="handle", status="completed") == 1
        )
        assert after.value("layby_question_open", role="developer") == 2
        desk.stop_workers()
        desk.open_ticket("T4")
        trigger = {"stream": "EVENTS", "mailbox": "on-handle"}
        waiting = seen(port, lambda it: it.value("layby_mailbox_pending", **trigger) == 1)
        assert waiting.value("layby_workers", state="running") == 0


async def test_old_numbers_are_not_shown_once_the_streams_are_away(
    desk: Desk, own_server: EmbeddedServer
) -> None:
    desk.json("provision", "desk:app")
    with exporting(desk) as port:
        assert await asyncio.to_thread(answers, port, "/readyz", 200)
        own_server.kill()
        found = await asyncio.to_thread(seen, port, lambda it: it.value("layby_streams_up") == 0)
        page = await asyncio.to_thread(answers, port, "/readyz", 503)
        assert "it is not connected to NATS" in page.text
        assert found.value("layby_streams_read_timestamp_seconds") is not None
        await own_server.restart()
        await asyncio.to_thread(seen, port, lambda it: it.value("layby_streams_up") == 1)


def test_an_exporter_without_a_server_says_so(desk: Desk) -> None:
    alone = Desk(desk.folder, "nats://127.0.0.1:1")
    done = alone.run("exporter", "--metrics-port", "0")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr


async def test_an_answer_without_effect_is_found(
    desk: Desk, own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workflow's mail has no consumer when the answer is recorded: nobody takes it."""
    monkeypatch.setattr(module, "_AGE", 0.0)
    settings = ConnectionSettings(servers=(own_server.url,))
    desk.start_worker()
    desk.open_ticket("T1")
    desk.question("T1")
    async with opened(settings) as bus:

        async def counted(*, idle: bool) -> int:
            return await unresumed(bus.requests, (await traffic(bus.requests)).mailboxes, idle=idle)

        assert await counted(idle=False) == 0
        await bus.requests.api("CONSUMER.DELETE.RUNS.workflow-handle")
        assert desk.json("answer", "T1", "done")["outcome"] == "accepted"
        desk.stop_workers()
        desk.json("provision", "desk:app")
        assert await counted(idle=False) == 1
        assert await counted(idle=True) == 1
        monkeypatch.setattr(module, "_AGE", 3600.0)
        assert await counted(idle=True) == 0
        monkeypatch.setattr(module, "_AGE", 0.0)
        desk.start_worker()
        desk.ended("T1")
        assert await counted(idle=False) == 0
        desk.stop_workers()
        assert await counted(idle=True) == 0
        await bus.requests.api("CONSUMER.DELETE.RUNS.workflow-handle")
        desk.json("provision", "desk:app")
        [box] = [
            each
            for each in (await traffic(bus.requests)).mailboxes
            if each.name == "workflow-handle"
        ]
        assert box.lag, "the answer waits again, but its run has gone on"
        assert await counted(idle=False) == 0


async def test_rows_that_somebody_planted_add_no_label(
    desk: Desk, own_server: EmbeddedServer
) -> None:
    desk.json("provision", "desk:app")
    desk.start_worker()
    await asyncio.to_thread(desk.open_ticket, "T1")
    await asyncio.to_thread(desk.question, "T1")
    settings = ConnectionSettings(servers=(own_server.url,))
    async with opened(settings) as bus:
        [stored] = await newest(bus.requests, "KV_runs", ["$KV.runs.*.*"])
        row, place = json.loads(stored.data), stored.headers["Nats-Subject"]
        for n in range(40):
            planted = {**row, "id": f"{n:020x}", "workflow": f"canary-{n}"}
            subject = place.replace(row["id"], planted["id"])
            await bus.requests.store(subject, json.dumps(planted).encode())
        body = {"name": "canary", "durable_name": "canary", "ack_policy": "explicit"}
        await bus.requests.api(
            "CONSUMER.CREATE.RUNS.canary", {"stream_name": "RUNS", "config": body}
        )
        async with console_on(settings) as console:
            api = Api(console)

            async def scraped() -> Scrape:
                return Scrape((await api.get("/metrics")).body.decode())

            others = {"workflow": "other", "status": "waiting"}
            async with asyncio.timeout(30):
                while (await scraped()).value("layby_runs", **others) != 40:
                    pass
            text = (await scraped()).text
    assert "canary" not in text


async def test_the_console_shows_metrics_to_those_who_may_look_and_probes_to_all(
    desk: Desk, own_server: EmbeddedServer
) -> None:
    desk.json("provision", "desk:app")
    settings = ConnectionSettings(servers=(own_server.url,))
    async with console_on(settings) as console:
        api = Api(console)
        assert (await api.ask("GET", "/metrics")).status == 401
        wrong = {"Authorization": "Bearer guessed"}
        assert (await api.ask("GET", "/metrics", headers=wrong)).status == 401
        async with asyncio.timeout(30):
            while (ready := await api.ask("GET", "/readyz")).status != 200:
                assert ready.json["detail"] == "it has not read all lists yet"
        page = await api.get("/metrics")
        assert page.status == 200
        assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert Scrape(page.body.decode()).value("layby_streams_up") == 1
        own_server.kill()
        async with asyncio.timeout(30):
            while (away := await api.ask("GET", "/readyz")).status != 503:
                pass
        assert away.json["detail"] == "it is not connected to NATS"
        assert (await api.ask("GET", "/healthz")).status == 200
