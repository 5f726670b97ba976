"""What a worker and `layby dev` say while they work, for machines and for people."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from layby.bus.server import EmbeddedServer
from tests.command import Command
from tests.fix_layby import WITHIN, Desk

pytestmark = pytest.mark.timeout(240)

APP = """
from __future__ import annotations

import logging
import threading
import warnings
from typing import Any

from layby import App, Retry, Step
from layby.runtime.errors import RunCancelled

app = App("desk")
logging.getLogger("somebody").warning("said in %s words", 4)
warnings.warn("old", stacklevel=1)


def pay(order: dict[str, Any]) -> int:
    card = "4111-1111"
    return order["amount"] + len(card)


def die() -> None:
    raise RuntimeError("in a thread")


@app.workflow(on="desk.ticket.opened", key="ticketId")
async def handle(event: dict[str, Any], step: Step) -> str:
    match event.get("do"):
        case "fail":
            await step.run("pay", pay, {}, retry=Retry(attempts=1))
        case "raise":
            pay({})
        case "thread":
            thread = threading.Thread(target=die, name="helper")
            thread.start()
            thread.join()
        case "leave":
            raise RunCancelled("not wanted any more")
        case "expire":
            return (await step.ask("developer", "Anybody?", timeout=0.2, default="no")).text
        case _:
            return (await step.ask("developer", "What now?")).text
    return "done"
"""


class Said:
    """A worker's or dev server's lines, as they come."""

    def __init__(self, process: Command) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()

    def waits_for(self, *parts: str) -> str:
        """The first line that holds all `parts`, once it is there."""
        with self._more:
            assert self._more.wait_for(lambda: self._find(*parts), WITHIN), self.lines
            return self._find(*parts) or ""

    def _find(self, *parts: str) -> str | None:
        return next((each for each in self.lines if all(part in each for part in parts)), None)

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """The first JSON line of an event with these fields."""
        parts = [f'"{key}": {json.dumps(value)}' for key, value in fields.items()]
        return json.loads(self.waits_for(f'"event": "{name}"', *parts))  # type: ignore[no-any-return]


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Desk:
    (tmp_path / "desk.py").write_text(APP)
    return Desk(tmp_path, own_server.url)


@contextlib.contextmanager
def says(desk: Desk, *arguments: str, **environ: str) -> Generator[Said]:
    process = desk.start(*arguments, **environ)
    said = Said(process)
    try:
        yield said
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(WITHIN)
        process.close()


def opened(desk: Desk, ticket: str, do: str = "") -> None:
    event = {"ticketId": ticket, **({"do": do} if do else {})}
    desk.json("send", "desk.ticket.opened", json.dumps(event))


def test_all_output_of_a_worker_is_json_when_asked(desk: Desk) -> None:
    with says(desk, "worker", "desk:app", "--json") as said:
        said.event("worker.ready")
        for ticket, do in (
            ("A", ""),
            ("F", "fail"),
            ("R", "raise"),
            ("T", "thread"),
            ("L", "leave"),
        ):
            opened(desk, ticket, do)
        opened(desk, "X", "expire")
        asked = said.event("question.asked", ticket="A")
        desk.json("answer", "A", "go on", "--by", "ada")
        answered = said.event("question.answered", ticket="A")
        completed = said.event("run.completed", ticket="A")
        step = said.event("step.failed", ticket="F")
        failed = said.event("run.failed", ticket="F")
        raised = said.event("run.failed", ticket="R")
        left = said.event("run.cancelled", ticket="L")
        expired = said.event("question.expired", ticket="X")
        died = said.event("thread.died")
        opened(desk, "C")
        run = said.event("question.asked", ticket="C")["run"]
        desk.json("cancel", "C", "--reason", "no need")
        cancelled = said.event("run.cancelled", ticket="C")
        desk.sooner_or_later(lambda: desk.json("runs", "--ticket", "F"))  # a moment after the line
        desk.json("retry", "F", "--by", "ada", "--reason", "mended")
        reopened = said.event("run.reopened", ticket="F")
    documents = [json.loads(line) for line in said.lines]  # every line is one
    assert all(document["event"] and document["timestamp"] for document in documents)
    assert asked["role"] == "developer"
    assert "What now?" not in "".join(said.lines)
    assert answered["by"] == "ada"
    assert "go on" not in json.dumps(answered)
    assert (completed["workflow"], completed["level"]) == ("handle", "info")
    assert step["place"].startswith("pay (desk.py:")
    assert failed["error"].startswith("KeyError: 'amount' in pay (desk.py:")
    assert raised["status"] == "failed"
    assert left["reason"] == "not wanted any more"
    assert expired["level"] == "info"
    assert (died["thread"], died["error"]) == ("helper", "RuntimeError('in a thread')")
    assert (cancelled["run"], cancelled["reason"]) == (run, "no need")
    assert (reopened["by"], reopened["why"]) == ("ada", "mended")
    logged = [each for each in documents if each["event"] == "log"]
    assert "said in 4 words" in [each["message"] for each in logged]
    assert any("UserWarning: old" in each["message"] for each in logged)


def test_a_worker_that_cannot_start_says_so_in_json(desk: Desk) -> None:
    with says(desk, "worker", "nowhere:app", "--json") as said:
        assert said.process.wait(WITHIN) == 1
        assert "nowhere" in said.event("worker.failed")["error"]
    assert [json.loads(line)["event"] for line in said.lines] == ["worker.failed"]


def test_verbose_shows_user_code_without_values_or_our_frames(desk: Desk) -> None:
    with says(desk, "worker", "desk:app", "--json", "--verbose") as said:
        said.event("worker.ready")
        opened(desk, "R", "raise")
        trace = said.event("run.failed", ticket="R")["exception"]
    assert "in pay" in trace
    assert "in handle" in trace
    assert "4111" not in trace.replace('card = "4111-1111"', "")
    assert "activation.py" not in trace


def test_dev_logs_every_run(desk: Desk) -> None:
    with says(desk, "dev", "desk:app", "--no-reload", TERM="dumb") as said:
        said.waits_for("worker.ready")
        opened(desk, "T\x1b[2J1")
        assert "\x1b" not in said.waits_for("handle started")
        line = said.waits_for("asks developer: What now?")
        assert "T\\x1b[2J1" in line
        run = line.rpartition("run ")[2]  # the list of questions has it a moment later
        assert desk.json("show", run)["ticket"] == "T\x1b[2J1"
        desk.json("answer", "T\x1b[2J1", "wipe\x1b[2J it", "--by", "ada")
        said.waits_for("ada answered: wipe\\x1b[2J it", run)
        said.waits_for("completed after", run)
        opened(desk, "F", "fail")
        said.waits_for("step pay failed: KeyError: 'amount' in pay (desk.py:")
        said.waits_for("failed: KeyError: 'amount' in pay (desk.py:", "F  failed")
        desk.json("retry", "F", "--by", "ada", "--reason", "mended")
        said.waits_for("F  resumed by ada mended")


def test_dev_shows_tracebacks_of_user_code(desk: Desk) -> None:
    with says(desk, "dev", "desk:app", "--no-reload", COLUMNS="100") as said:
        said.waits_for("worker.ready")
        opened(desk, "R", "raise")
        said.waits_for('return order["amount"] + len(card)')
        said.waits_for("KeyError: 'amount'", "failed")
        opened(desk, "F", "fail")
        said.waits_for("F  failed")
    text = re.sub(r"[\s│]+", " ", "\n".join(said.lines))  # a long path wraps before the name
    assert "Traceback" in text
    assert "in handle" in text
    assert "activation.py" not in text
    assert "host.py" not in text


def test_a_worker_that_nobody_listens_to_works_on(desk: Desk) -> None:
    process = desk.start("worker", "desk:app", "--json")
    try:
        while "worker.ready" not in process.stderr.readline():
            pass
        process.stderr.close()  # as `2>&1 | head` does
        opened(desk, "A")
        desk.question("A")
        desk.json("answer", "A", "go on")
        assert desk.ended("A")["status"] == "completed"
        opened(desk, "F", "fail")
        assert desk.ended("F")["status"] == "failed"
        assert process.poll() is None
    finally:
        process.close()
