"""The `layby` command as a person or script runs it: in a folder, against a server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from layby.runtime.state import UNENDED
from tests.command import Command, done
from tests.waiting import LONGEST, pauses

ROOT = Path(__file__).parent.parent
WITHIN = 60.0
"""Seconds that anything may take on a loaded machine."""

APP = """
from __future__ import annotations

from pydantic import BaseModel

from layby import App, Step

app = App("desk")


class Opened(BaseModel):
    ticketId: str


@app.workflow(on="desk.ticket.opened", key="ticketId")
async def handle(event: Opened, step: Step) -> dict[str, str]:
    answer = await step.ask("developer", f"What about {event.ticketId}?", context="It is urgent.")
    return {"said": answer.text, "by": answer.by}
"""


class Desk:
    """A folder with an app, a server, and the command line run there."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self._workers: list[Command] = []

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NATS_")}
        return {**clean, "NATS_URL": self.url, "HOME": str(self.folder), "PYTHONPATH": str(ROOT)}

    def run(
        self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return done(
            arguments,
            folder=self.folder,
            environ=environ or self.environ,
            stdin=stdin,
            within=WITHIN,
        )

    def start(self, *arguments: str, **environ: str) -> Command:
        """Run without waiting for the end, which the test must see to."""
        return Command(arguments, folder=self.folder, environ={**self.environ, **environ})

    def json(self, *arguments: str, code: int = 0, stdin: str = "") -> Any:
        """Run with --json: stdout must be one document and nothing else."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def start_worker(self, *options: str, app: str = "desk:app", **environ: str) -> Command:
        """Start a worker and wait until it takes work."""
        worker = self.start("worker", app, *options, **environ)
        self._workers.append(worker)
        said: list[str] = []
        for line in worker.stderr:
            said.append(line)
            if line.startswith("ready on"):
                return worker
        raise AssertionError("".join(said))

    def stop_workers(self) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(WITHIN)
            worker.close()
        self._workers.clear()

    def open_ticket(self, ticket: str, *more: str) -> Any:
        return self.json("send", "desk.ticket.opened", json.dumps({"ticketId": ticket}), *more)

    def question(self, ticket: str) -> Any:
        """The ticket's open question, as soon as it is there."""
        return self.sooner_or_later(
            lambda: next((q for q in self.json("questions") if q["ticket"] == ticket), None)
        )

    def ended(self, ticket: str) -> Any:
        """The ticket's newest run, as soon as it has ended."""
        return self.sooner_or_later(
            lambda: next(
                (
                    row
                    for row in self.json("runs")
                    if row["ticket"] == ticket and row["status"] not in UNENDED
                ),
                None,
            ),
            longest=0.3,
        )

    @staticmethod
    def sooner_or_later(look: Callable[[], Any], longest: float = LONGEST) -> Any:
        deadline, pause = time.monotonic() + WITHIN, pauses(longest)
        while not (found := look()):
            assert time.monotonic() < deadline, "it did not come"
            time.sleep(next(pause))
        return found


def left_over(folder: Path) -> list[str]:
    """The processes that have `folder` on their command line or as their current one."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            inside = (process / "cwd").resolve().is_relative_to(folder)
            if process.name != str(os.getpid()) and (str(folder) in words or inside):
                found.append(words)
    return found
