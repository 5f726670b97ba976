"""With --json, whatever a process says on stderr is JSON: also when its server goes away."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from layby.bus.server import EmbeddedServer
from tests.fix_layby import APP, WITHIN, Desk
from tests.scraping import answers, free_port

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]

APP_THAT_COMPLAINS = f"""{APP}

import asyncio
import warnings

warnings.warn("older than it looks", stacklevel=1)


async def forgotten() -> None:
    raise RuntimeError("nobody waits for me")


@app.workflow(on="desk.forget", key="ticketId")
async def forget(event: Opened, step: Step) -> None:
    task = asyncio.ensure_future(forgotten())
    await asyncio.wait([task])
    del task
"""


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Generator[Desk]:
    (tmp_path / "desk.py").write_text(APP_THAT_COMPLAINS)
    found = Desk(tmp_path, own_server.url)
    yield found
    found.stop_workers()


def told(lines: Any, event: str) -> list[dict[str, Any]]:
    """What was logged until that event came; every line is JSON."""
    said: list[dict[str, Any]] = []
    for line in lines:
        said.append(json.loads(line))
        if said[-1]["event"] == event:
            return said
    raise AssertionError(said)


@pytest.mark.parametrize("command", ["console", "exporter"])
def test_a_process_that_loses_its_server_speaks_json(
    desk: Desk, own_server: EmbeddedServer, command: str
) -> None:
    desk.start_worker()  # provisions
    desk.stop_workers()
    port = free_port()
    option = "--port" if command == "console" else "--metrics-port"
    process = desk.start(command, option, str(port), "--json")
    try:
        ready = "/api/v1/readyz" if command == "console" else "/readyz"
        answers(port, ready, 200)
        own_server.kill()
        told(process.stderr, "connection.lost")
        process.send_signal(signal.SIGINT)
        assert process.wait(WITHIN) == 128 + signal.SIGINT
        assert told(process.stderr, "process.stopped")[-1]["level"] == "info"
        assert process.stderr.read() == ""
    finally:
        process.close()


def test_complaints_of_python_and_asyncio_are_json(desk: Desk) -> None:
    worker = desk.start("worker", "desk:app", "--json")
    try:
        said = told(worker.stderr, "worker.ready")
        desk.json("send", "desk.forget", json.dumps({"ticketId": "F"}))
        said += told(worker.stderr, "log")
        worker.terminate()
        assert worker.wait(WITHIN) == 0
    finally:
        worker.terminate()
        worker.wait(WITHIN)
        rest = [json.loads(line) for line in worker.stderr]
        worker.close()
    messages = [each["message"] for each in [*said, *rest] if each["event"] == "log"]
    assert any("older than it looks" in each for each in messages)
    assert any("Task exception was never retrieved" in each for each in messages)
