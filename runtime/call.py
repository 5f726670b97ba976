"""A tool's call that is to be approved."""

from __future__ import annotations

import msgspec


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool's call that is to be approved, exactly."""

    tool: str
    arguments: str
    """JSON, defaults included, in the one form of `signature.canonical`."""
