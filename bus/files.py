"""Files that only their owner can read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

_OWNER = 0o600


def open_private(path: Path, flags: int = 0) -> IO[bytes]:
    """Open a file to append to, or with `os.O_TRUNC` anew. Nobody but its owner can read it.

    One that is there already is closed to others first. Raises OSError.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, _OWNER)
    with suppress(OSError):  # of another owner: then it is theirs to say who may read it
        os.fchmod(fd, _OWNER)
    return os.fdopen(fd, "ab")


def write_private(path: Path, text: str) -> None:
    """Write a file anew that nobody but its owner can read. Raises OSError."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER), "w") as file:
        file.write(text)
