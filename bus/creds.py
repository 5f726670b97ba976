"""The owner of a credentials file, read without asking the server."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec

_BEGIN = b"-----BEGIN NATS USER JWT-----"


class _Claims(msgspec.Struct):
    name: str = ""


def owner(path: str) -> str | None:
    """The name in the token of a credentials file; None if it has none, or cannot be read."""
    try:
        lines = Path(path).read_bytes().splitlines()
        body = lines[lines.index(_BEGIN) + 1].split(b".")[1]
        claims = msgspec.json.decode(
            base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)), type=_Claims
        )
    except (OSError, ValueError, IndexError):  # msgspec's errors are ValueErrors
        return None
    return claims.name or None
