"""A record of the bucket `keys`: wrapped secrets."""

from __future__ import annotations

import msgspec

from .bucket import Item


class SecretRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Wrapped secrets."""

    ring: str = ""
    """The key of the keyring that wraps them; empty: all of them were destroyed."""
    wrapped: bytes = b""
    generation: int = 1
    """Which secret of a person or thread this is: a destroyed one is followed by another."""
    destroyed: tuple[int, ...] = ()
    """Slots of the block whose secrets were destroyed."""
    used: tuple[str, ...] = ()
    """In the record `check`: the keys of the keyring that records may be wrapped by."""


decode = msgspec.json.Decoder(SecretRecord).decode
encode = msgspec.json.Encoder().encode


def read(item: Item | None) -> SecretRecord | None:
    """The record that is stored, if there is one."""
    return item.read(decode) if item is not None and item.value else None


def context_of(bucket: str, name: str, generation: int) -> str:
    """What the secrets of a record are wrapped for: elsewhere they cannot be unwrapped."""
    return f"{bucket}/{name}/{generation}"
