"""Where something happened in user code."""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line of user code."""

    file: str
    """As the app imports it: `shop/app.py`, without the machine's folders."""
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"
