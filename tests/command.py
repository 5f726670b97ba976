"""The `layby` command as a process of its own, forked from one that has imported everything.

Such a process is read from, signalled, stopped and killed as any other; only its interpreter and
imports are not its own. What a fresh start does is shown by the tests of the demo, which do not
use this.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from tests.nursery import Order, Told

ROOT = Path(__file__).parent.parent
_SHARED = "LAYBY_TEST_NURSERY"
"""Where the process listens that several processes with tests have their commands from."""
_STARTS = 90.0
"""Seconds that its imports may take on a loaded machine."""


class Command:
    """A running `layby`, with the methods of `subprocess.Popen`; all its output can be read."""

    def __init__(
        self, arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str]
    ) -> None:
        self.arguments = list(arguments)
        self.returncode: int | None = None
        order = Order(arguments=self.arguments, folder=str(folder), environ=dict(environ))
        theirs: list[int] = []
        try:
            self.stdin = _writer(theirs)
            self.stdout = _reader(theirs)
            self.stderr = _reader(theirs)
            self._line = ordered(os.environ.get(_SHARED) or _nursery(), order, theirs)
        finally:
            for each in theirs:
                os.close(each)
        self._told = b""
        self._asking = threading.Lock()
        self.pid = self._next(None).pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, minus the signal for one that was killed.

        Raises:
            subprocess.TimeoutExpired: if it has not ended after `timeout` seconds.
        """
        with self._asking:
            if self.returncode is None:
                self.returncode = self._next(timeout).code
                self._line.close()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, text: str = "", timeout: float | None = None) -> tuple[str, str]:
        """Write to it, and read all it says until it ends."""
        said = {"out": "", "err": ""}

        def read(name: str, file: IO[str]) -> None:
            said[name] = file.read()

        readers = [
            threading.Thread(target=read, args=each, daemon=True)
            for each in (("out", self.stdout), ("err", self.stderr))
        ]
        for each in readers:
            each.start()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(text)
            self.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.wait(timeout)
        for each in readers:
            each.join(timeout)
        return said["out"], said["err"]

    def close(self) -> None:
        """End it if need be, and let go of its files."""
        self.kill()
        self.wait()
        for file in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                file.close()

    def _next(self, timeout: float | None) -> Told:
        """What the nursery tells next."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._told:
            left = None if deadline is None else max(0.001, deadline - time.monotonic())
            self._line.settimeout(left)
            try:
                data = self._line.recv(4096)
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.arguments, timeout or 0.0) from None
            if not data:
                raise AssertionError("the process that all commands are forked from has ended")
            self._told += data
        word, _, self._told = self._told.partition(b"\n")
        return msgspec.json.decode(word, type=Told)


def done(
    arguments: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    stdin: str = "",
    within: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which must come `within` seconds."""
    command = Command(arguments, folder=folder, environ=environ)
    try:
        out, err = command.communicate(stdin, within)
    finally:
        command.close()
    return subprocess.CompletedProcess([*arguments], command.wait(), out, err)


def _writer(theirs: list[int]) -> IO[str]:
    read, write = os.pipe()
    theirs.append(read)
    return open(write, "w", encoding="utf-8", closefd=True)  # noqa: PTH123


def _reader(theirs: list[int]) -> IO[str]:
    read, write = os.pipe()
    theirs.append(write)
    return open(read, encoding="utf-8", closefd=True)  # noqa: PTH123


def ordered(door: str, order: Order, files: list[int]) -> socket.socket:
    """Give an order to a nursery; the line on which its process is told of."""
    data = msgspec.json.encode(order)
    line = _line_to(door)
    socket.send_fds(line, [len(data).to_bytes(4)], files)
    line.sendall(data)
    return line


def share_nursery() -> None:
    """Let all processes that share the tests have their commands from one: its imports are dear."""
    door, _ = started("tests.nursery")
    os.environ[_SHARED] = str(door)


def _line_to(door: str) -> socket.socket:
    """A connection, once whoever was started to listen there does."""
    line = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + _STARTS
    while True:
        try:
            line.connect(door)
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                line.close()
                raise
            time.sleep(0.01)
        else:
            return line


@functools.cache
def _nursery() -> str:
    """The address of the process that all commands of this one are forked from."""
    door, process = started("tests.nursery")
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready == b"ready\n", "it did not start"
    return str(door)


def started(module: str, *arguments: str) -> tuple[Path, subprocess.Popen[bytes]]:
    """A process that others are forked from, until this one ends; where it listens."""
    folder = Path(tempfile.mkdtemp(prefix="layby-nursery-"))
    door = folder / "door"
    path = str(ROOT), os.environ.get("PYTHONPATH")
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", module, str(door), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(_end, process, folder)
    return door, process


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.communicate()  # closes its stdin, at which it ends
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
