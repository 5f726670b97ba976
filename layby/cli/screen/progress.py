"""How far long work has got, shown on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from .output import stderr


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Generator[Callable[[int], None]]:
    """Report how many of `what` are done, on standard error if it is a terminal."""
    console = stderr()
    if quiet or not console.is_terminal:
        yield _silent
        return
    with console.status("") as status:
        yield lambda done: status.update(f"{done:,} {what} ...")


def _silent(_: int) -> None:
    """Report nothing."""
