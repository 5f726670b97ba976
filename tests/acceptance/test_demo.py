"""`layby demo` from the first line to the last process, as a new user meets it.

Each of these starts several interpreters: `pytest` runs four, `pytest -m proof` the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples import proofs_but
from tests.fix_layby import ROOT, WITHIN, Desk, left_over

pytestmark = pytest.mark.timeout(240)


class Demo:
    """One running demo, whose output is read line by line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-u", "-m", "layby", "demo", *options],
            cwd=folder,
            env=environ(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        return re.search(r"nats://[\d.:]+\d", self.text)[0]  # type: ignore[index]

    def until(self, wanted: str) -> str:
        """Read on until a line holds `wanted`, and return that line."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if wanted in line:
                return line.strip()
        raise AssertionError(f"{wanted!r} is not in:\n{self.text}")

    def until_asked(self) -> str:
        """Read on until the last way to answer has been printed: the line for the nats CLI."""
        return self.until("developer.response.T125")

    def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self) -> int:
        """Wait for the end and read the rest."""
        out, _ = self._process.communicate(timeout=WITHIN)
        self.lines += out.splitlines()
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        self._process.kill()
        with contextlib.suppress(ValueError):
            self._process.communicate()


def environ(folder: Path) -> dict[str, str]:
    hidden = ("NATS_", "ANTHROPIC_", "LAYBY_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**clean, "HOME": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Any]:
    """Start a demo in the test's folder; after the test, nothing of it is left."""
    started: list[Demo] = []

    def start(*options: str) -> Demo:
        started.append(Demo(tmp_path, *options))
        return started[-1]

    yield start
    for each in started:
        each.close()
    Desk.sooner_or_later(lambda: left_over(tmp_path) == [])


def ended(folder: Path, *options: str) -> tuple[int, Any, str]:
    """Run a demo with --json to its end: exit code, document, and the timeline on stderr."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "layby", "demo", "--json", *options],
        cwd=folder,
        env=environ(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.proof
def test_a_script_gets_one_document(tmp_path: Path) -> None:
    code, document, timeline = ended(tmp_path, "--answer", "Fixed in v1.1.4")
    assert code == 0, timeline
    assert document["status"] == "completed"
    assert document["ticket"] == "T125"
    assert document["result"]["ticket_status"] == "closed"
    assert "Fixed in v1.1.4" in timeline
    assert left_over(tmp_path) == []


@pytest.mark.proof
@pytest.mark.parametrize("ticket", ["T123", "T124"])
def test_tickets_that_need_no_developer(tmp_path: Path, ticket: str) -> None:
    code, document, timeline = ended(tmp_path, "--ticket", ticket)
    assert code == 0, timeline
    assert document["ticket"] == ticket
    assert document["result"]["reply"]


@pytest.mark.slow
def test_typing_the_answer(demo: Any) -> None:
    shown = demo()
    shown.until_asked()
    assert "offline" in shown.text
    assert "search_latest_release_notes" in shown.text
    shown.type("It is fixed in v1.1.4")
    shown.until("It is fixed in v1.1.4")
    assert shown.end() == 0
    assert "reply_to_customer" in shown.text
    assert "completed" in shown.text


@pytest.mark.proof
def test_answering_with_layby_from_another_terminal(demo: Any, tmp_path: Path) -> None:
    shown = demo()
    shown.until_asked()
    answered = subprocess.run(
        [sys.executable, "-m", "layby", "answer", "T125", "rolled back", "--by", "ada"],
        cwd=tmp_path,
        env=environ(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=WITHIN,
    )
    assert "accepted" in answered.stdout
    assert shown.end() == 0
    assert "rolled back" in shown.text
    assert "ada" in shown.text


@pytest.mark.proof
def test_answering_with_the_printed_line_of_the_nats_cli(demo: Any, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if shutil.which("nats") is None or bash is None:
        pytest.skip("the nats CLI is not on PATH")
    shown = demo()
    line = shown.until_asked()
    subprocess.run(  # noqa: S603
        [bash, "-c", line], cwd=tmp_path, env=environ(tmp_path), check=True, capture_output=True
    )
    assert shown.end() == 0
    assert "Fixed in v1.1.4" in shown.text


@pytest.mark.proof
def test_nobody_answers_in_time(demo: Any) -> None:
    shown = demo("--deadline", "1s")
    shown.until_asked()
    shown.end()
    assert "completed" in shown.text or "timed_out" in shown.text


@pytest.mark.slow
@pytest.mark.parametrize("number", proofs_but(1, [signal.SIGINT, signal.SIGTERM]))
def test_stopped_and_continued(demo: Any, tmp_path: Path, number: signal.Signals) -> None:
    first = demo()
    first.until_asked()
    first.signal(number)
    assert first.end() == 128 + number
    assert left_over(tmp_path) == []

    code, document, timeline = ended(tmp_path, "--answer", "Fixed in v1.1.4")
    assert code == 0, timeline
    assert document["status"] == "completed"
    assert "it continues here" in timeline


@pytest.mark.slow
def test_killing_the_demo_stops_everything(demo: Any, tmp_path: Path) -> None:
    shown = demo()
    shown.until_asked()
    assert left_over(tmp_path)
    shown.signal(signal.SIGKILL)
    Desk.sooner_or_later(lambda: left_over(tmp_path) == [])


@pytest.mark.slow
def test_a_killed_worker_does_not_matter(demo: Any, tmp_path: Path) -> None:
    shown = demo()
    shown.until_asked()
    for pid in workers(tmp_path):
        os.kill(pid, signal.SIGKILL)
    shown.type("It is fixed")
    assert shown.end() == 0, shown.text
    assert "died" in shown.text


@pytest.mark.proof
def test_two_demos_do_not_share_a_folder(demo: Any, tmp_path: Path) -> None:
    first = demo()
    first.until_asked()
    for options in ([], ["--fresh"]):
        code, document, _ = ended(tmp_path, *options)
        assert code == 1
        assert document["error"]["type"] == "DataFolderUnusable"


@pytest.mark.proof
def test_a_fresh_demo_knows_nothing_of_the_last(tmp_path: Path) -> None:
    _, before, _ = ended(tmp_path, "--ticket", "T123")
    keep = tmp_path / ".layby" / "demo" / "mine.txt"
    keep.write_text("not the demo's")
    _, after, _ = ended(tmp_path, "--ticket", "T123", "--fresh")
    assert before["id"] != after["id"]
    assert keep.read_text() == "not the demo's"


@pytest.mark.proof
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, document, _ = ended(tmp_path, "--data", "file/inside")
    assert code == 1
    assert "file" in document["error"]["message"]


def workers(folder: Path) -> list[int]:
    """The worker processes of a demo in `folder`."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            inside = (process / "cwd").resolve() == folder
            if inside and b"worker" in words:
                found.append(int(process.name))
    return found
