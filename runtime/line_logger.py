"""Writes a worker's log lines to a stream: at once, or in one call when there are many."""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
import time
from contextlib import suppress
from typing import Protocol

_QUIET = 0.01
"""Seconds without a line after which the next one is written at once."""


class Stream(Protocol):
    """Something that text is written to."""

    def write(self, text: str, /) -> object:
        """Write text."""
        ...

    def flush(self) -> None:
        """Write out what is buffered."""
        ...


class Stderr:
    """Standard error as it is at the time of writing: test runners replace and close it.

    A write that fails is dropped: a worker must not stop because nobody reads its log.
    """

    def write(self, text: str, /) -> None:
        """Write text."""
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Write out what is buffered."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


class LineLogger:
    """A logger for structlog, usable from every thread.

    While many lines come, those of one turn of the event loop are written with one call: a worker
    logs four lines a run. A lone line, and every warning, is written before the call returns.
    """

    def __init__(self, stream: Stream | None = None) -> None:
        self._stream = stream or Stderr()
        self._waiting: list[str] = []
        self._lock = threading.Lock()
        self._written = 0.0
        atexit.register(self.flush)

    def debug(self, line: str) -> None:
        """Write a line, by the end of this turn of the event loop at the latest."""
        loop = _running() if time.monotonic() - self._written < _QUIET else None
        if loop is None:
            self.error(line)
            return
        with self._lock:
            self._waiting.append(line)
            first = len(self._waiting) == 1
        if first:
            loop.call_soon(self.flush)

    info = debug

    def error(self, line: str) -> None:
        """Write a line now, after those that are waiting."""
        with self._lock:
            self._waiting.append(line)
        self.flush()

    warning = critical = exception = error

    def flush(self) -> None:
        """Write the lines that are waiting."""
        with self._lock:
            lines, self._waiting = self._waiting, []
            if lines:
                self._stream.write("\n".join([*lines, ""]))
                self._stream.flush()
                self._written = time.monotonic()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
