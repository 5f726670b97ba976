"""Stops a process where it is, as a machine does that has no time for it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_WITHIN = 10.0
_POLL = 0.001


def freeze(pid: int) -> None:
    """Stop a process. Raises TimeoutError if a thread of it still runs after ten seconds.

    The signal alone is not enough: until each thread has noticed it, one may still answer.
    """
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + _WITHIN
    while not all(_is_stopped(task) for task in Path(f"/proc/{pid}/task").iterdir()):
        if time.monotonic() > end:
            raise TimeoutError(f"process {pid} was told to stop and still runs")
        time.sleep(_POLL)


@contextmanager
def frozen(pid: int) -> Generator[None]:
    """In the block a process stands still."""
    freeze(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_stopped(task: Path) -> bool:
    try:
        # The name of a process, which stands in brackets before its state, may have spaces in it.
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "TZX"
