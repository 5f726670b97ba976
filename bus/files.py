"""Files that only their owner can read."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import IO

_OWNER = 0o600


def open_private(path: Path, flags: int = 0) -> IO[bytes]:
    """Open a file to append to, or to overwrite with `os.O_TRUNC`. Only its owner can read it.

    If it exists, its permissions are restricted first. Raises OSError.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, _OWNER)
    with suppress(OSError):  # it has another owner, who decides who may read it
        os.fchmod(fd, _OWNER)
    return os.fdopen(fd, "ab")


def write_private(path: Path, data: bytes) -> None:
    """Replace a file by one that only its owner can read: all of it, or nothing. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(temporary, flags, _OWNER), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
