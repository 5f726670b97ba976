"""Makes processes of the `layby` command by forking, as imports are most of what a start costs.

`python -P -m tests.nursery PATH` listens on the Unix socket PATH, and then says `ready`. Each
connection is one command: an `Order` with three files, for stdin, stdout and stderr. The process id
comes back at once, and the exit code once it has ended. When stdin closes, it kills what is left.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import msgspec

_FILES = 3
_STDERR = 2
_SIZE = 4
_NOT_IMPORTED = ("__main__", "pytest_plugin")
_DEPENDENCIES = ("anthropic.resources.messages", "anthropic.types", "pydantic.plugin")
"""What is imported when first used, and takes long."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Run one command."""

    arguments: list[str]
    folder: str
    environ: dict[str, str]


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a command's connection is told: its process id, then its exit code."""

    pid: int
    code: int | None = None


class Nursery:
    """Takes orders until its stdin closes."""

    def __init__(self, path: str) -> None:
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(path)
        self._door.listen()
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        self._wake = wake
        signal.signal(signal.SIGCHLD, _noticed)
        signal.set_wakeup_fd(wake)
        self._selector = selectors.DefaultSelector()
        for each in (0, self._woken, self._door):
            self._selector.register(each, selectors.EVENT_READ)
        self._lines: dict[int, socket.socket] = {}

    def serve(self) -> Order | None:
        """Fork a process for each order. Returns its order in each, and None in the first."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    self._end()
                    return None
                if key.fileobj == self._woken:
                    os.read(self._woken, 4096)
                    self._reap()
                elif (order := self._take()) is not None:
                    return order

    def _take(self) -> Order | None:
        line, _ = self._door.accept()
        size, files, _, _ = socket.recv_fds(line, _SIZE, _FILES)
        data = b""
        while len(data) < int.from_bytes(size) and (more := line.recv(65536)):
            data += more
        pid = os.fork()
        if pid:
            self._lines[pid] = line
            _tell(line, Told(pid))
        else:
            for number, file in enumerate(files):
                os.dup2(file, number)
            self._leave()
            line.close()
        for file in files:
            os.close(file)
        return None if pid else msgspec.json.decode(data, type=Order)

    def _leave(self) -> None:
        """Let go, in a child, of all that is the nursery's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._door.close()
        os.close(self._woken)
        os.close(self._wake)
        for line in self._lines.values():
            line.close()

    def _reap(self) -> None:
        while self._lines:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            line = self._lines.pop(pid)
            _tell(line, Told(pid, os.waitstatus_to_exitcode(status)))
            line.close()

    def _end(self) -> None:
        for pid in self._lines:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _noticed(number: int, frame: object) -> None:
    """Nothing: the signal has woken the selector by its file."""


def _tell(line: socket.socket, word: Told) -> None:
    with suppress(OSError):  # who ordered it may be gone
        line.sendall(msgspec.json.encode(word) + b"\n")


def be_new(crash: str = "") -> None:
    """Be as different from our siblings as a process that was started afresh."""
    from layby.runtime import crash as points  # noqa: PLC0415  not before the fork's own order

    name, _, count = crash.partition(":")
    points._NAME = name  # pyright: ignore[reportPrivateUsage]
    points._left = int(count or "1")  # pyright: ignore[reportPrivateUsage]


def take_over(order: Order) -> None:
    """Have the environment, the folder and the files of an order."""
    os.environ.clear()
    os.environ.update(order.environ)
    time.tzset()
    os.chdir(order.folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = _writer(1, "strict"), _writer(2, "backslashreplace")


def _run(order: Order) -> int:
    """Be `python -m layby` there; its exit code."""
    take_over(order)
    path = [order.folder, *filter(None, order.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = [*dict.fromkeys([*path, *sys.path])]
    sys.argv = ["layby", *order.arguments]
    be_new(order.environ.get("LAYBY_CRASH", ""))
    with _ended() as code:
        runpy.run_module("layby", run_name="__main__", alter_sys=True)
    threading._shutdown()  # type: ignore[attr-defined]
    return code[0]


def _writer(fd: int, errors: str) -> io.TextIOWrapper:
    raw = open(fd, "wb", closefd=False)  # noqa: SIM115
    lines = fd == _STDERR or "PYTHONUNBUFFERED" in os.environ or os.isatty(fd)
    return io.TextIOWrapper(raw, errors=errors, line_buffering=lines)


@contextmanager
def _ended() -> Generator[list[int]]:
    code = [0]
    try:
        yield code
    except SystemExit as exit_:
        code[0] = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException as error:  # noqa: BLE001  as the interpreter does
        sys.excepthook(type(error), error, error.__traceback__)
        code[0] = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()


def import_all() -> None:
    """Import Layby, and what it imports when that is first used."""
    import layby  # noqa: PLC0415  pytest would say that it comes too early

    for module in pkgutil.walk_packages(layby.__path__, "layby."):
        if module.name.rpartition(".")[2] not in _NOT_IMPORTED:
            importlib.import_module(module.name)
    for name in _DEPENDENCIES:
        importlib.import_module(name)


def main() -> None:
    """Serve until stdin closes."""
    import_all()
    gc.freeze()
    nursery = Nursery(sys.argv[1])
    os.write(1, b"ready\n")
    order = nursery.serve()
    if order is None:
        return
    code = 1
    try:
        code = _run(order)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
