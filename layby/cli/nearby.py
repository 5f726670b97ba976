"""The server that `layby dev` or `layby demo` runs in this folder, for commands beside it."""

from __future__ import annotations

import fcntl
import os
import threading
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

_PAUSE = 0.5
"""Seconds between two looks whether the server that is found has stopped."""


def nearby_url() -> str | None:
    """The address of the server that runs in this folder, if one was started here."""
    with suppress(OSError, UnicodeDecodeError):
        return FILE.read_text().strip() or None
    return None


@contextmanager
def beside(url: str) -> Generator[str | None]:
    """While this is open, other commands in this folder find the server by themselves.

    Of several servers in a folder they find the first, whose address this then yields; None: it
    is this one. When that stops, they find the next. It is a help for people, nothing more: a
    folder that cannot be written is not an error.
    """
    try:
        file = _taken()
    except BlockingIOError:
        with _next(url):
            yield nearby_url()
        return
    except OSError:
        yield None
        return
    with _told(file, url):
        yield None


@contextmanager
def _told(file: IO[bytes], url: str) -> Generator[None]:
    with file:
        file.write(f"{url}\n".encode())
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                FILE.unlink()


@contextmanager
def _next(url: str) -> Generator[None]:
    """While this is open, be found as soon as the server stops that is found now."""
    over = threading.Event()

    def wait() -> None:
        while not over.wait(_PAUSE):
            try:
                file = _taken()
            except BlockingIOError:
                continue
            except OSError:
                return
            with _told(file, url):
                over.wait()

    waiting = threading.Thread(target=wait, name="nearby", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        over.set()
        waiting.join()


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
