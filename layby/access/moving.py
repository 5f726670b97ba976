"""Move the streams of a stopped server from one account to another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ..bus.errors import InvalidSettings

GLOBAL: Final = "$G"
"""The account that everybody is in where a server has no accounts."""


def move(store: Path, to: str, source: str = GLOBAL) -> int:
    """Give the streams of an account to another, by renaming its folder; return how many.

    Sequences, consumers and timers stay as they are. The server must be stopped, and alone: in a
    cluster the nodes remember whose each stream is.

    Args:
        store: The server's `store_dir`.
        to: The account that gets them: its name, or in operator mode its public key.
        source: The account that has them.

    Raises:
        InvalidSettings: there is nothing to move, the other account has streams, or the server
            runs.
    """
    root = store / "jetstream" if (store / "jetstream").is_dir() else store
    here, there = root / source, root / to
    streams = _streams(here)
    if not streams:
        raise InvalidSettings(f"{here} holds no streams: name the server's store_dir.")
    if _streams(there):
        raise InvalidSettings(f"account {to} has streams already in {there}: nothing was moved.")
    if pid := _user(root):
        raise InvalidSettings(f"process {pid} uses {root}: stop the server first.")
    if there.exists():
        _clear(there)
    here.rename(there)
    _sync(root)
    return len(streams)


def _streams(account: Path) -> list[Path]:
    folder = account / "streams"
    return [each for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []


def _clear(account: Path) -> None:
    """Remove the empty folders that a server leaves for an account without streams."""
    try:
        for folder, _, _ in os.walk(account, topdown=False):
            Path(folder).rmdir()
    except OSError as error:
        raise InvalidSettings(f"{account} is not empty: {error.strerror}.") from None


def _user(root: Path) -> int | None:
    """A process of this machine that has a file of the store open, as far as one may look."""
    inside = str(root.resolve())
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [os.readlink(each) for each in (process / "fd").iterdir()]  # noqa: PTH115
        except OSError:
            continue
        if any(path.startswith(f"{inside}/") for path in opened):
            return int(process.name)
    return None


def _sync(folder: Path) -> None:
    """Have the disk know of a rename before anybody is told that it is done."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
