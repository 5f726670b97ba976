"""The server that `layby dev` or `layby demo` runs in this folder, for commands beside it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..bus.files import open_private

FOLDER = Path(".layby")
"""Where the embedded servers of a project keep their data."""

SERVER = "nats"
"""The embedded server's own folder in a data folder."""

FILE = FOLDER / "url"
"""Holds the address of the server that runs here, and is locked by whoever runs it. Only its owner
can read it: the address has a password in it."""


def nearby_url() -> str | None:
    """The address of the server that runs in this folder, if one was started here."""
    with suppress(OSError, UnicodeDecodeError):
        return FILE.read_text().strip() or None
    return None


@contextmanager
def beside(url: str) -> Generator[str | None]:
    """While this is open, other commands in this folder find the server by themselves.

    Of several servers in a folder they find the first, whose address this then yields; None: it
    is this one. It is a help for people, nothing more: a folder that cannot be written is not an
    error.
    """
    try:
        file = _taken()
    except BlockingIOError:
        yield nearby_url()
        return
    except OSError:
        yield None
        return
    with file:
        file.write(f"{url}\n".encode())
        file.flush()
        try:
            yield None
        finally:
            with suppress(OSError):
                FILE.unlink()


def _taken() -> IO[bytes]:
    """The file, empty and locked. Raises BlockingIOError: another server has it."""
    while True:
        FOLDER.mkdir(parents=True, exist_ok=True)
        file = open_private(FILE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if FILE.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                return file
        except FileNotFoundError:
            pass  # whoever had it has just removed it
        except OSError:
            file.close()
            raise
        file.close()
