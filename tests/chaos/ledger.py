"""The outside world of the app under test: a file that every effect writes to, whatever dies.

A line is one `write` to a file opened for appending, so a killed process loses none and tears none.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

LEDGER = "CHAOS_LEDGER"
"""Environment variable that names the file in a worker."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try of an effect: that it began, or that it was made."""

    key: str
    """The idempotency key that the engine gave."""
    effect: str
    """Which effect it is by the plan: `<ticket number>/<name>`."""
    at: float
    pid: int
    made: bool = False


class Ledger:
    """Appends to and reads the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @classmethod
    def of_this_process(cls) -> Ledger:
        """The ledger that the environment names."""
        return cls(Path(os.environ[LEDGER]))

    def write(self, key: str, effect: str, *, made: bool) -> None:
        """Note that an effect begins, or is made."""
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        entry = Entry(key=key, effect=effect, at=time.time(), pid=os.getpid(), made=made)
        os.write(self._fd, msgspec.json.encode(entry) + b"\n")

    def tries(self, key: str) -> int:
        """How often the effect was begun so far, over all processes."""
        return sum(entry.key == key and not entry.made for entry in self.read())

    def read(self) -> list[Entry]:
        """Every line, in order."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().splitlines()
        return [msgspec.json.decode(line, type=Entry) for line in lines]
