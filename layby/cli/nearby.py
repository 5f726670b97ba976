"""The server that `layby dev` or `layby demo` runs in this folder, for commands beside it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = Path(".layby")
"""Where the embedded servers of a project keep their data."""

SERVER = "nats"
"""The embedded server's own folder in a data folder."""

_FILE = "url"


def nearby_url() -> str | None:
    """The address of the server that runs in this folder, if one was started here."""
    with suppress(OSError, UnicodeDecodeError):
        return (FOLDER / _FILE).read_text().strip() or None
    return None


@contextmanager
def beside(url: str) -> Generator[None]:
    """While this is open, other commands in this folder find the server by themselves.

    The last server that was started is the one they find. It is a help for people, nothing more:
    a folder that cannot be written is not an error.
    """
    file = FOLDER / _FILE
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{url}\n")
    try:
        yield
    finally:
        if nearby_url() == url:
            with suppress(OSError):
                file.unlink()
