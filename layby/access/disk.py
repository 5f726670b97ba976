"""File operations for moving streams."""

from __future__ import annotations

import os
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
        try:
            opened = [os.readlink(each) for each in (process / "fd").iterdir()]  # noqa: PTH115
        except OSError:
            continue
        if any(path.startswith(f"{inside}/") for path in opened):
            return int(process.name)
    return None


def sync(folder: Path) -> None:
    """Make a rename durable, before it is reported as done."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
