"""A worker whose clock is wrong: deadlines are the server's all the same."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import datetime
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.fix_layby import APP, ROOT, WITHIN, Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

SHIFT = "import time\n_real = time.time\ntime.time = lambda: _real() + ({})\n"
"""Of a `sitecustomize`, which Python runs at its start: another clock for a process."""


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Desk:
    return desk_at(tmp_path, own_server.url)


def desk_at(folder: Path, url: str) -> Desk:
    (folder / "desk.py").write_text(APP.replace('urgent.")', 'urgent.", timeout="2m")'))
    return Desk(folder, url)


def shifted(desk: Desk, seconds: float) -> dict[str, str]:
    folder = desk.folder / f"by{seconds}"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SHIFT.format(seconds))
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


@contextlib.contextmanager
def process(desk: Desk, seconds: float, *words: str) -> Generator[subprocess.Popen[str]]:
    """A command in a process of its own, whose clock is another."""
    started = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "layby", *words],
        cwd=desk.folder,
        env={**desk.environ, **shifted(desk, seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield started
    finally:
        started.terminate()
        started.communicate(timeout=WITHIN)


@pytest.mark.parametrize("seconds", [-600.0, 600.0])
def test_a_question_is_open_for_as_long_as_it_was_asked(desk: Desk, seconds: float) -> None:
    with process(desk, seconds, "worker", "desk:app") as worker:
        assert worker.stdout is not None
        said: list[str] = []
        for line in worker.stdout:
            said.append(line)
            if line.startswith("ready on"):
                break
        assert any("clock.skewed" in line for line in said), said
        asked = time.time()
        desk.open_ticket("T1")
        question = desk.question("T1")
        left = datetime.fromisoformat(question["deadline"]).timestamp() - asked
        assert 115 < left < 150
        desk.json("answer", "T1", "yes")
        assert desk.ended("T1")["status"] == "completed"


def test_the_doctor_says_how_far_the_clock_here_is(desk: Desk) -> None:
    desk.json("provision", "desk:app")
    with process(desk, -600.0, "doctor") as doctor:
        told, _ = doctor.communicate(timeout=WITHIN)
    assert "600 s behind the server's" in " ".join(told.split())
    assert "within a second" in " ".join(desk.run("doctor").stdout.split())


def test_the_doctor_says_which_worker_has_another_release_and_a_wrong_clock(desk: Desk) -> None:
    """The second worker finds the metadata of another release first, and another clock."""
    desk.start_worker()
    package = desk.folder / "by-600.0" / "layby-9.9.9.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: layby\nVersion: 9.9.9\n")
    with process(desk, -600.0, "worker", "desk:app") as other:
        assert other.stdout is not None
        assert any(line.startswith("ready on") for line in other.stdout)
        findings = desk.json("doctor")
    first, mixed = (each for each in findings if each["subject"] == "workers")
    assert (first["level"], mixed["level"]) == ("ok", "warn")
    assert "1 worker of desk (Layby 9.9.9)" in first["message"]
    assert f"Layby 9.9.9 on {socket.gethostname()} (process {other.pid})" in mixed["message"]
    [clocks] = [each["message"] for each in findings if each["subject"] == "clocks"]
    assert f"(process {other.pid}) is 600 s behind" in clocks
    assert clocks.count("process") == 1
    desk.stop_workers()
    [found] = [each for each in desk.json("doctor") if each["subject"] == "workers"]
    assert "none is running" in found["message"]
