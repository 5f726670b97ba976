"""Move the streams of a stopped server from one account to another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ..bus.errors import InvalidSettings
from ..commands import ALL, STREAM
from .disk import clear, sync, user

GLOBAL: Final = "$G"
"""The account of all logins on a server without accounts."""
_TRAIL: Final = re.compile(rf"(?:[A-Z][A-Z0-9_-]*_)?{STREAM}")


class Moved(NamedTuple):
    """How many streams were moved."""

    streams: int
    """Streams moved to the account of the workers, without the audit trail."""
    trails: int
    """Streams moved to the account of the audit trail."""


def move(store: Path, to: str, trail: str, source: str = GLOBAL) -> Moved:
    """Move the streams of an account to another, and the audit trail to an account of its own.

    Sequences, consumers and timers stay as they are. The server must be stopped, and not be part of
    a cluster, whose nodes remember the account of each stream. Repeat it after an interruption.

    Args:
        store: The server's `store_dir`.
        to: The account to move them to: its name, or in operator mode its public key.
        trail: The account to move the audit trail to.
        source: The account that has them. It may have none, if only the trail is to be moved.

    Raises:
        InvalidSettings: there is nothing to move, the target account has streams already, the
            server is running, or it belongs to a cluster. Nothing was moved.
    """
    root = store / "jetstream" if (store / "jetstream").is_dir() else store
    if any(root.glob("*/_js_/_meta_")):
        raise InvalidSettings(
            f"{root} belongs to a cluster, whose nodes remember the account of each stream: "
            "nothing was moved. docs/operations.md says how to move a cluster's streams."
        )
    here, there, apart = root / source, root / to, root / trail
    streams, held = _streams(here), _streams(there)
    if not streams and not held:
        raise InvalidSettings(f"{here} holds no streams: name the server's store_dir.")
    if streams and held:
        raise InvalidSettings(f"account {to} has streams already in {there}: nothing was moved.")
    trails = [each for each in streams or held if _is_trail(each)]
    if twice := [each for each in trails if (apart / "streams" / each.name).exists()]:
        raise InvalidSettings(
            f"account {trail} has a trail already in {apart}, and so has {twice[0]}: both stay as "
            "they are. Move the folder of the one that you do not need out of the store."
        )
    if pid := user(root):
        raise InvalidSettings(f"process {pid} uses {root}: stop the server first.")
    if streams:
        if there.exists():
            clear(there)
        here.rename(there)
        sync(root)
    if trails:
        _take_out(there, [each.name for each in trails], apart)
    return Moved(streams=max(0, len(streams) - len(trails)), trails=len(trails))


def _take_out(account: Path, names: list[str], to: Path) -> None:
    """Move the streams with these names to another account."""
    (to / "streams").mkdir(parents=True, exist_ok=True)
    for name in names:
        (account / "streams" / name).rename(to / "streams" / name)
    for folder in (account / "streams", to / "streams", to, to.parent):
        sync(folder)


def _is_trail(stream: Path) -> bool:
    """Whether a stream holds commands: by its name, and by its subjects if they can be read."""
    if not _TRAIL.fullmatch(stream.name):
        return False
    try:
        config = msgspec.json.decode((stream / "meta.inf").read_bytes())
        return any(str(subject).endswith(ALL) for subject in config["subjects"])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return True  # the store is encrypted


def _streams(account: Path) -> list[Path]:
    folder = account / "streams"
    return [each for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []
