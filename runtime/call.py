"""A tool call that is to be approved."""

from __future__ import annotations

import msgspec


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The exact tool call that is to be approved."""

    tool: str
    arguments: str
    """JSON, defaults included, as `signature.canonical` writes it."""
