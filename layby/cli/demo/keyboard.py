"""Lines from standard input, typed or piped, without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

_STDIN = 0
_PAUSE = 0.1
"""Seconds to wait after Ctrl-D: a terminal that is gone reports end of file all the time."""


def is_terminal() -> bool:
    """Whether a person can type here."""
    return sys.stdin is not None and sys.stdin.isatty()


def listen(on_line: Callable[[str], object]) -> None:
    """Call `on_line` in the running loop with every line of standard input, until it ends.

    On a terminal it does not end: Ctrl-D counts as an empty line, and reading continues. A thread
    reads the descriptor itself, which works for terminals, pipes and files alike and takes no lock
    that the interpreter needs when it exits.
    """
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(loop, on_line), name="keyboard", daemon=True).start()


def _read(loop: asyncio.AbstractEventLoop, on_line: Callable[[str], object]) -> None:
    rest = b""
    with suppress(OSError, RuntimeError):  # no standard input, or the loop has ended
        while True:
            chunk = os.read(_STDIN, 4096)
            if not chunk and os.isatty(_STDIN):
                loop.call_soon_threadsafe(on_line, "")
                time.sleep(_PAUSE)
                continue
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(on_line, line.decode(errors="replace"))
            if not chunk:
                break
        if rest:
            loop.call_soon_threadsafe(on_line, rest.decode(errors="replace"))
