"""The server that `layby dev` or `layby demo` runs in this folder, found by other commands."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ...bus.files import open_private

FOLDER = Path(".layby")
"""Folder in which the embedded servers of a project keep their data."""

SERVER = "nats"
"""The embedded server's own folder in a data folder."""

FILE = FOLDER / "url"
"""Contains the address of the server that runs here, and is locked by the process that runs it.
Only its owner can read it, because the address contains a password."""

_PAUSE = 0.5
"""Seconds between two checks whether the advertised server has stopped."""


def local_server_url() -> str | None:
    """The address of the server that runs in this folder, if one was started here."""
    with suppress(OSError, UnicodeDecodeError):
        return FILE.read_text().strip() or None
    return None


@contextmanager
def advertised(url: str) -> Generator[str | None]:
    """While this is open, other commands in this folder find the server by themselves.

    If several servers run in a folder, commands find the first one. This yields its address, or
    None if it is this server. When that one stops, they find the next. This is only a convenience:
    a folder that cannot be written to is not an error.
    """
    try:
        file = _locked_file()
    except BlockingIOError:
        with _queued(url):
            yield local_server_url()
        return
    except OSError:
        yield None
        return
    with _published(file, url):
        yield None


@contextmanager
def _published(file: IO[bytes], url: str) -> Generator[None]:
    with file:
        file.write(f"{url}\n".encode())
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                FILE.unlink()


@contextmanager
def _queued(url: str) -> Generator[None]:
    """While this is open, advertise this server as soon as the advertised one stops."""
    done = threading.Event()

    def wait() -> None:
        while not done.wait(_PAUSE):
            try:
                file = _locked_file()
            except BlockingIOError:
                continue
            except OSError:
                return
            with _published(file, url):
                done.wait()

    waiting = threading.Thread(target=wait, name="local-server", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        done.set()
        waiting.join()


def _locked_file() -> IO[bytes]:
    """The file, empty and locked. Raises BlockingIOError if another server has it."""
    while True:
        FOLDER.mkdir(parents=True, exist_ok=True)
        file = open_private(FILE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if FILE.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                return file
        except FileNotFoundError:
            pass  # its owner has just removed it
        except OSError:
            file.close()
            raise
        file.close()
