"""File operations for moving streams."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..bus.errors import InvalidSettings


def clear(account: Path) -> None:
    """Remove the empty folders that a server leaves behind for an account without streams."""
    try:
        for folder, _, _ in os.walk(account, topdown=False):
            Path(folder).rmdir()
    except OSError as error:
        raise InvalidSettings(f"{account} is not empty: {error.strerror}.") from None


def user(root: Path) -> int | None:
    """A process of this machine with an open file in the store, as far as this user can see."""
    inside = str(root.resolve())
    for process in Path("/proc").glob("[0-9]*"):
        if any(path.startswith(f"{inside}/") for path in _opened(process)):
            return int(process.name)
    return None


def _opened(process: Path) -> Iterator[str]:
    """The files that a process has open; it may close one, or end, while they are read."""
    with suppress(OSError):
        for each in (process / "fd").iterdir():
            with suppress(OSError):
                yield os.readlink(each)  # noqa: PTH115


def sync(folder: Path) -> None:
    """Make a rename durable, before it is reported as done."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
