"""The name of this process, and those of its appends, in the logs of runs.

A process that is forked from another is another writer: it must not take the other's appends for
its own. So it gets a name of its own when it is forked.
"""

from __future__ import annotations

import itertools
import os
import secrets


class _Writer:
    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Take another name, and count from one."""
        self.name = secrets.token_hex(4)
        self.appends = itertools.count(1)


_THIS = _Writer()


def writer() -> str:
    """The name of this process in the logs of runs: see `Envelope.writer`."""
    return _THIS.name


def new_op() -> str:
    """A name for an append, by which its writer finds it in the log."""
    return f"{_THIS.name}-{next(_THIS.appends)}"
