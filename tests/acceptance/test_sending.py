"""`layby send`: what became of the event, as far as anybody can know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from tests.fix_layby import APP, Desk

pytestmark = pytest.mark.timeout(240)

TICKET = '{"ticketId": "T125"}'
MORE = """

@app.workflow(on="desk.broken", key="ticketId", name="broken_one")
async def broken(event: Opened, step: Step) -> str:
    raise ValueError("no")

"""


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Desk]:
    text = APP.replace('App("desk")', 'App("desk", events=["desk.paid"])')
    (tmp_path / "desk.py").write_text(text + MORE)
    made = Desk(tmp_path, own_server.url)
    try:
        yield made
    finally:
        made.stop_workers()


async def forget_mailbox(desk: Desk, name: str) -> None:
    async with opened(ConnectionSettings(servers=(desk.url,))) as bus:
        await bus.requests.api(f"CONSUMER.DELETE.EVENTS.{name}")


def test_the_event_and_its_run_are_named(desk: Desk) -> None:
    desk.start_worker()
    sent = desk.json("send", "desk.ticket.opened", TICKET)
    assert sent["event_id"]
    [run] = sent["runs"]
    assert run["workflow"] == "handle"
    assert desk.json("show", run["id"])["ticket"] == "T125"
    shown = desk.run("send", "desk.ticket.opened", TICKET, "--id", "e-7").stdout
    assert "event e-7" in shown
    assert "  handle" in shown
    again = desk.run("send", "desk.ticket.opened", TICKET, "--id", "e-7")
    assert again.returncode == 0
    assert "sent before" in again.stdout


def test_an_app_with_another_prefix_is_not_a_missing_worker(desk: Desk) -> None:
    app = (desk.folder / "desk.py").read_text().replace('App("desk"', 'App("desk", prefix="shop"')
    (desk.folder / "desk.py").write_text(app)
    desk.start_worker()
    output = " ".join(desk.run("send", "desk.ticket.opened", TICKET).stdout.split())
    assert "an app with another prefix takes it" in output
    assert "no worker" not in output
    [run] = desk.json("send", "desk.ticket.opened", TICKET, "--prefix", "shop")["runs"]
    assert run["workflow"] == "handle"


def test_a_missing_worker_is_reported_but_not_an_error(desk: Desk) -> None:
    desk.json("provision", "desk:app")
    done = desk.run("send", "desk.ticket.opened", TICKET)
    assert done.returncode == 0
    assert "no worker is running" in done.stdout


def test_an_event_that_starts_nothing_is_an_error(desk: Desk) -> None:
    desk.start_worker()
    awaited = desk.run("send", "desk.paid", TICKET)
    assert awaited.returncode == 0
    assert "runs that wait for it receive it" in awaited.stdout
    unheard = desk.json("send", "desk.nothing", TICKET, code=1)
    assert "desk.nothing" in unheard["error"]["message"]


def test_a_subject_that_only_the_stream_knows_is_an_error(desk: Desk) -> None:
    (desk.folder / "wide.py").write_text(APP.replace("desk.ticket.opened", "desk.wide"))
    desk.json("provision", "wide:app")
    asyncio.run(forget_mailbox(desk, "on-handle"))
    failed = desk.json("send", "desk.wide", TICKET, code=1)
    assert failed["error"]["type"] == "NoWorkflow"
    assert failed["error"]["sent"]["stream"] == "EVENTS"


def test_an_unreadable_event_is_reported(desk: Desk) -> None:
    desk.start_worker()
    failed = desk.json("send", "desk.ticket.opened", '{"nobody": "knows"}', code=1)
    assert failed["error"]["type"] == "EventRefused"
    assert "ticketId" in failed["error"]["message"]
    output = desk.run("send", "desk.ticket.opened", '{"nobody": "knows"}')
    assert output.returncode == 1
    assert "layby dead list" in output.stderr


def test_waiting_follows_the_run_to_its_question(desk: Desk) -> None:
    desk.start_worker()
    done = desk.run("send", "desk.ticket.opened", TICKET, "--wait")
    assert done.returncode == 0, done.stderr
    assert "What about T125?" in done.stdout
    assert "it is parked and waits" in done.stdout


def test_waiting_follows_the_run_to_its_end(desk: Desk) -> None:
    desk.start_worker()
    done = desk.run("send", "desk.broken", TICKET, "--wait")
    assert done.returncode == 1
    assert "ValueError: no" in done.stdout
    assert "broken (desk.py:" in done.stdout
    sent = desk.json("send", "desk.broken", TICKET, "--wait", code=1)
    assert sent["details"][0]["failure"]["type"] == "ValueError"
