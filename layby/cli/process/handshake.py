"""The worker's side of the pipes to the process that started it: see `children`."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

ALONE = "--until-stdin-closes"
READY_FD = "--ready-fd"
DEV = "--log-runs"
"""Logs runs as `layby dev` does."""
PRUNE = "--prune-all"
"""Removes what the app no longer declares: for a server that is the developer's own."""
GRACE = 8.0
"""Seconds a worker has to finish its current steps before it is killed."""


def stop_when_orphaned() -> None:
    """Stop when standard input closes, which it does when the parent dies."""
    threading.Thread(target=_watch_stdin, name="parent", daemon=True).start()


def _watch_stdin() -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    killer = threading.Timer(GRACE, os._exit, (1,))  # the drain may wait for a server that is gone
    killer.daemon = True
    killer.start()
