"""A backup on disk: its folder, and the manifest that says what is in it and that it is whole.

`manifest.json` is next to `streams/`, which holds a folder for each stream as the nats CLI writes
them. A folder of the CLI alone can be read too.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from ..bus.errors import LaybyError
from ..bus.files import write_private
from ..bus.snapshot import Snapshot

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_STREAMS: Final = "streams"
_ABOUT: Final = "backup.json"
_DATA: Final = "stream.tar.s2"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BLOCK: Final = 1024 * 1024
_NAME: Final = re.compile(r"[^\s./\\*>\x00-\x1f]{1,255}")
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a manifest: each consumer takes less than a kilobyte."""


class BackupUnusable(LaybyError):
    """A folder cannot be written to, or is not a complete backup."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the messages of a stream had been handled when the backup began."""

    stream: str
    consumer: str
    floor: int
    """Everything up to this sequence had been acknowledged."""
    config: dict[str, Any]
    """The consumer's configuration."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A stream in a backup."""

    stream: str
    messages: int
    last_seq: int
    size: int
    """Bytes of its file."""
    digest: str
    """The SHA-256 of its file, in hex; empty: unknown."""
    saved_at: str = ""
    """When it had been saved."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int = FORMAT
    complete: bool = False
    """Whether all of it was written."""
    prefix: str = ""
    """The prefix of the app's streams."""
    begun_at: str = ""
    """Whatever the server had acknowledged by then is in it."""
    ended_at: str = ""
    release: str = ""
    """The release of Layby that wrote it; empty: the nats CLI did."""
    server: str = ""
    """The version of nats-server."""
    positions: tuple[Position, ...] = ()
    ends: dict[str, int] = {}
    """The last sequence of each stream when the backup began."""
    parts: tuple[Part, ...] = ()
    """The streams, in the order in which they were saved."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.size for part in self.parts)

    @property
    def id(self) -> str:
        """Tells this backup from others."""
        return hashlib.sha256(msgspec.json.encode((self.begun_at, self.parts))).hexdigest()[:16]


class _About(msgspec.Struct, frozen=True):
    config: dict[str, Any]
    state: dict[str, Any]


@contextmanager
def room_in(path: Path) -> Generator[None]:
    """Says what to do if the disk of a backup is full. Raises BackupUnusable."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise BackupUnusable(
            f"{path} cannot be written: {error.strerror}: make room, and back up to a new folder"
        ) from None


class BackupFolder:
    """The folder of one backup."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the folder, which must not exist, or be empty. Raises BackupUnusable, OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.path.iterdir()):
            raise BackupUnusable(
                f"{self.path} is not empty, and a backup overwrites nothing: name a new folder"
            )
        (self.path / _STREAMS).mkdir(mode=0o700)
        _sync(self.path)
        _sync(self.path.parent)

    def write(self, manifest: Manifest) -> None:
        """Replace the manifest. Raises OSError."""
        data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        write_private(self.path / _MANIFEST, data + b"\n")
        _sync(self.path)

    def new_stream(self, stream: str) -> BinaryIO:
        """A file for the snapshot of a stream. Raises OSError."""
        folder = self.path / _STREAMS / _plain(stream)
        folder.mkdir(mode=0o700)
        fd = os.open(folder / _DATA, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return os.fdopen(fd, "wb")

    def finish_stream(self, stream: str, snapshot: Snapshot) -> None:
        """Write what the snapshot is of, once its file is on disk. Raises OSError."""
        folder = self.path / _STREAMS / stream
        about = _About(snapshot.config, snapshot.state)
        write_private(folder / _ABOUT, msgspec.json.encode(about))
        _sync(folder)
        _sync(folder.parent)

    def read(self) -> Manifest:
        """The manifest of a complete backup; for a folder of the nats CLI, one without positions.

        Raises:
            BackupUnusable: it is neither, or something is missing.
        """
        if not self.path.is_dir():
            raise BackupUnusable(f"{self.path} is not a folder: name that of a backup")
        file = self.path / _MANIFEST
        if not file.exists():
            return self._of_cli()
        try:
            if file.stat().st_size > _LARGEST:
                raise BackupUnusable(f"{file} is too large to be the manifest of a backup")
            manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BackupUnusable(f"{file} is not the manifest of a backup: {error}") from None
        if manifest.format != FORMAT:
            raise BackupUnusable(
                f"{file} has the format {manifest.format}, and this release reads {FORMAT}: use "
                "the release that wrote it"
            )
        if not manifest.complete:
            raise BackupUnusable(
                f"{self.path} is incomplete: `layby backup` was interrupted; take "
                "another backup, or restore single streams with `nats stream restore`"
            )
        return manifest

    def _of_cli(self) -> Manifest:
        """What `nats account backup` wrote."""
        whole = self.path.resolve()
        if whole.name == _STREAMS and (whole.parent / _MANIFEST).exists():
            raise BackupUnusable(
                f"{self.path} is a part of a backup, without its manifest: name {whole.parent}"
            )
        parts: list[Part] = []
        for folder in sorted(self.path.iterdir()):
            file = folder / _DATA
            if not file.is_file():
                raise BackupUnusable(
                    f"{self.path} is not a backup: it has neither {_MANIFEST} nor, in "
                    f"{folder.name}, {_DATA}"
                )
            state = self._about(folder).state
            messages, last = int(state.get("messages", 0)), int(state.get("last_seq", 0))
            size = file.stat().st_size
            parts.append(
                Part(stream=folder.name, messages=messages, last_seq=last, size=size, digest="")
            )
        if not parts:
            raise BackupUnusable(f"{self.path} is empty: name the folder of a backup")
        return Manifest(complete=True, parts=tuple(parts))

    def check(self, part: Part) -> None:
        """Compare a stream's file with the manifest. Raises BackupUnusable."""
        self.about(part)
        file = self._folder(part) / _DATA
        try:
            size, digest = file.stat().st_size, _digest(file) if part.digest else ""
        except OSError as error:
            raise BackupUnusable(f"{file} cannot be read: {error.strerror}") from None
        if (size, digest) != (part.size, part.digest):
            raise BackupUnusable(
                f"{file} is not what was saved: its size or SHA-256 differs from the manifest; "
                "use another copy of the backup"
            )

    def about(self, part: Part) -> tuple[dict[str, Any], dict[str, Any]]:
        """The configuration and the state of a stream. Raises BackupUnusable."""
        folder = self._folder(part)
        found = self._about(folder)
        if found.config.get("name") != part.stream:
            raise BackupUnusable(f"{folder / _ABOUT} is not about stream {part.stream}")
        return found.config, found.state

    def chunks(self, part: Part, size: int) -> Iterator[bytes]:
        """The file of a stream, in pieces. Raises OSError."""
        with (self._folder(part) / _DATA).open("rb") as file:
            while chunk := file.read(size):
                yield chunk

    def _folder(self, part: Part) -> Path:
        inner = self.path / _STREAMS
        return (inner if inner.is_dir() else self.path) / _plain(part.stream)

    @staticmethod
    def _about(folder: Path) -> _About:
        file = folder / _ABOUT
        try:
            return msgspec.json.decode(file.read_bytes(), type=_About)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BackupUnusable(f"{file} cannot be read: {error}") from None


def _plain(stream: str) -> str:
    """The name of a stream as that of a folder. Raises BackupUnusable."""
    if not _NAME.fullmatch(stream):
        raise BackupUnusable(f"{stream!r} is not the name of a stream")
    return stream


def _digest(file: Path) -> str:
    sha = hashlib.sha256()
    with file.open("rb") as data:
        while block := data.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk too."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
