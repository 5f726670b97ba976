"""The demo on a terminal of 80 columns and 24 rows: a real one, as a person has it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WITHIN = 40.0
ROWS, COLUMNS = 24, 80
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

pytestmark = pytest.mark.timeout(240)


class Terminal:
    """A program on a terminal of our own."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        drop = ("NATS_", "ANTHROPIC_", "COLUMNS", "LINES")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "layby", *arguments],
            cwd=ROOT,
            env={**clean, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.output = ""

    def waits_for(self, text: str) -> None:
        """Read until `text` has been printed since the last call."""
        deadline = time.monotonic() + WITHIN
        seen = len(self.output)
        while text not in _ESCAPE.sub("", self.output[seen:]):
            assert time.monotonic() < deadline, self.output
            if select.select([self._ours], [], [], 0.2)[0]:
                self.output += self._read()

    def _read(self) -> str:
        try:
            return os.read(self._ours, 65536).decode(errors="replace")
        except OSError as error:  # everybody has closed it
            raise AssertionError(self.output) from error

    def types(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def screen(self) -> list[str]:
        """The rows that are to be seen."""
        rows: list[str] = []
        for line in _ESCAPE.sub("", self.output).replace("\r", "").split("\n"):
            rows += [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)] or [""]
        return rows[-ROWS:]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(WITHIN)
        os.close(self._ours)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal("demo", "--data", str(tmp_path / "demo"))
    try:
        yield terminal
    finally:
        terminal.close()


def test_the_timeline_stays_on_the_screen_and_ctrl_d_loses_nothing(demo: Terminal) -> None:
    demo.waits_for("your answer >")
    seen = demo.screen()
    assert any("started" in row for row in seen), "\n".join(seen)
    assert any("nats pub" in row for row in seen)
    assert not any("#0.0" in row for row in seen)
    demo.types("\x04")  # Ctrl-D
    demo.waits_for("your answer >")
    demo.types("Fixed in v1.1.4\n")
    demo.waits_for("completed after")
    assert demo.process.wait(WITHIN) == 0
