"""Keeps a data folder for one process, and tells others which process has it. POSIX only."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Final

from .errors import DataFolderUnusable

_LOCK_WITHIN: Final = 1.0  # a server whose parent was just killed needs a moment to follow
_POLL: Final = 0.005


class FolderLock:
    """A lock file, held as long as any process has it open; its text is for people."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None

    @property
    def fds(self) -> tuple[int, ...]:
        """What a child process inherits, to hold the lock as well."""
        return () if self._fd is None else (self._fd,)

    async def acquire(self) -> None:
        """Take the folder; create it if needed. No effect if it is held.

        Raises:
            DataFolderUnusable: it cannot be written, or another process has it.
        """
        if self._fd is not None:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LOCK_WITHIN
        while not self._try():
            if loop.time() > deadline:
                raise DataFolderUnusable(self._why_in_use())
            await asyncio.sleep(_POLL)

    def release(self) -> None:
        """Let others have the folder."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # a forked process may have it open too
            os.close(self._fd)
            self._fd = None

    def note(self, owner: str) -> None:
        """Say in the file, for people, who has the folder."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, owner.encode(), 0)

    def _try(self) -> bool:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unusable(self._folder, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._fd = fd
        self.note(f"process {os.getpid()}")
        return True

    def _why_in_use(self) -> str:
        try:
            owner = (self._folder / "lock").read_text()
        except OSError:
            owner = ""
        return (
            f"The data folder {self._folder} is in use by {owner or 'another process'}. "
            "Stop that one first, or give another folder."
        )


def unusable(folder: Path, error: OSError) -> DataFolderUnusable:
    """The error for a folder that the system does not let us use."""
    reason = error.strerror or str(error)
    return DataFolderUnusable(
        f"The data folder {folder} cannot be used: {reason}. Give a folder that you may write to."
    )
