"""Lines from standard input, typed or piped, without holding up the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

_STDIN = 0
_CALM = 0.1
"""Seconds after Ctrl-D: a terminal that is gone says the same again and again."""


def is_terminal() -> bool:
    """Whether a person can type here."""
    return sys.stdin is not None and sys.stdin.isatty()


def listen(heard: Callable[[str], object]) -> None:
    """Call `heard` in the running loop with every line of standard input, until it ends.

    On a terminal it does not end: Ctrl-D is heard as an empty line, and what is typed after it is
    heard too. A thread reads, and reads the descriptor itself: it works for terminals, pipes and
    files alike, and holds no lock that the interpreter wants when it exits.
    """
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(loop, heard), name="keyboard", daemon=True).start()


def _read(loop: asyncio.AbstractEventLoop, heard: Callable[[str], object]) -> None:
    rest = b""
    with suppress(OSError, RuntimeError):  # no standard input, or the loop has ended
        while True:
            chunk = os.read(_STDIN, 4096)
            if not chunk and os.isatty(_STDIN):
                loop.call_soon_threadsafe(heard, "")
                time.sleep(_CALM)
                continue
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(heard, line.decode(errors="replace"))
            if not chunk:
                break
        if rest:
            loop.call_soon_threadsafe(heard, rest.decode(errors="replace"))
