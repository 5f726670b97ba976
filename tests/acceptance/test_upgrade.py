"""Runs that are parked by one release are finished by the next one, and the other way round.

The other release is the commit before this one, or the one that LAYBY_UPGRADE_FROM names. Both are
built as wheels, and run as processes of their own.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.fix_layby import WITHIN, Desk

pytestmark = [pytest.mark.nats, pytest.mark.proof, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BEFORE = os.environ.get("LAYBY_UPGRADE_FROM", "HEAD~1")
APP = """
from __future__ import annotations

from pathlib import Path

from layby import App, Step

app = App("desk", events=["desk.paid"])


def note(ticket: str) -> str:
    with Path("ledger").open("a") as ledger:
        ledger.write(f"{ticket}\\n")
    return ticket


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict, step: Step) -> list:
    await step.run("before", note, f"{event['ticket']} before")
    answer = await step.ask("developer", "Ready?", answer=bool)
    paid = await step.wait_for_event("desk.paid", match="ticket", timeout="1h")
    await step.sleep("1s")
    await step.run("after", note, f"{event['ticket']} after")
    return [answer.value, paid["euros"]]
"""
TICKETS = ["T1", "T2"]

Start = Callable[[str], subprocess.Popen[str]]


def git(*arguments: str) -> bytes:
    command = ("git", *arguments)
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S603


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two installed wheels, by `before` and `now`, without what they depend on."""
    try:
        archive = git("archive", BEFORE)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"there is no commit {BEFORE} here to upgrade from: {error}")
    sources = {"before": tmp_path_factory.mktemp("before"), "now": tmp_path_factory.mktemp("now")}
    for name, data in (("before", archive), ("now", git("archive", "HEAD"))):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(sources[name], filter="tar")  # the rooms are symbolic links
    installed: dict[str, Path] = {}
    for name, source in sources.items():
        installed[name] = source / "installed"
        pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target")
        subprocess.run((*pip, installed[name], source), check=True, timeout=WITHIN * 2)  # noqa: S603
    return installed


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Desk:
    (tmp_path / "desk.py").write_text(APP)
    return Desk(tmp_path, own_server.url)


@pytest.fixture
def start(desk: Desk, releases: dict[str, Path]) -> Iterator[Start]:
    """Starts a worker of a release, and waits until it takes work."""
    started: list[subprocess.Popen[str]] = []

    def begin(release: str) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            (sys.executable, "-m", "layby", "worker", "desk:app"),
            cwd=desk.folder,
            env={**desk.environ, "PYTHONPATH": str(releases[release])},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(worker)
        assert worker.stderr is not None
        said: list[str] = []
        for line in worker.stderr:
            said.append(line)
            if line.startswith("ready on"):
                return worker
        raise AssertionError("".join(said))

    yield begin
    for worker in started:
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        worker.communicate()


@pytest.mark.parametrize(
    ("first", "then", "number"),
    [("before", "now", signal.SIGTERM), ("now", "before", signal.SIGKILL)],
)
def test_a_run_goes_on_in_the_other_release(
    desk: Desk, start: Start, first: str, then: str, number: signal.Signals
) -> None:
    worker = start(first)
    for ticket in TICKETS:
        desk.json("send", "desk.opened", f'{{"ticket": "{ticket}"}}')
    for ticket in TICKETS:
        desk.question(ticket)
    desk.run("answer", "T2", "yes")  # it waits for its event by then
    desk.sooner_or_later(lambda: not any(q["ticket"] == "T2" for q in desk.json("questions")))
    worker.send_signal(number)
    worker.communicate(timeout=WITHIN)

    start(then)
    assert desk.run("answer", "T1", "yes").returncode == 0
    for ticket in TICKETS:
        desk.json("send", "desk.paid", f'{{"ticket": "{ticket}", "euros": 7}}')
    for ticket in TICKETS:
        row = desk.ended(ticket)
        assert row["status"] == "completed", row
        assert desk.json("show", ticket)["result"] == [True, 7]
    ledger = (desk.folder / "ledger").read_text().splitlines()
    assert sorted(ledger) == sorted(f"{t} {when}" for t in TICKETS for when in ("before", "after"))
