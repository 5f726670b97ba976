"""Nkeys of NATS users: how their public keys and seeds are written, and how they sign.

An nkey is an Ed25519 key in base32, with a prefix for its type and a checksum. The package
`cryptography` does the mathematics; it is loaded on the first signing or verification.
"""

from __future__ import annotations

import base64
import binascii
import importlib.util
import re
from pathlib import Path
from typing import Any, Self

from ..bus.errors import InvalidSettings

_USER = 20 << 3
_SEED = 18 << 3
_SEED_HEAD = bytes([_SEED | _USER >> 5, (_USER & 0x1F) << 3])
_SIZE = 32
_CHECK = 2
_PUBLIC = re.compile(r"U[A-Z2-7]{55}")
_SEED_TEXT = re.compile(r"SU[A-Z2-7]{56}")
_SEED_IN_FILE = re.compile(rb"(?<![A-Z2-7])SU[A-Z2-7]{56}(?![A-Z2-7])")
INSTALL = "`pip install cryptography`"


def can_verify() -> bool:
    """Whether the package that signs and verifies is installed."""
    return importlib.util.find_spec("cryptography") is not None


def public_bytes(text: str) -> bytes:
    """The 32 bytes of a user's public key, `U...`. Raises ValueError for anything else."""
    if not _PUBLIC.fullmatch(text):
        # The message does not show what was given: it may be the seed.
        raise ValueError("this is not the public nkey of a user: 56 characters that begin with U")
    raw = _raw(text)
    if raw is None or raw[0] != _USER:
        raise ValueError(f"the checksum of the nkey {text} is wrong: a character is mistyped")
    return raw[1:]


def verifies(key: str, signature: bytes, data: bytes) -> bool:
    """Whether the holder of the public key `key` signed `data`."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  slow to load
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    try:
        Ed25519PublicKey.from_public_bytes(public_bytes(key)).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


class Signer:
    """A person's private key. It is never shown, not even in the object's repr."""

    def __init__(self, seed: bytes) -> None:
        if not can_verify():
            raise InvalidSettings(f"signing needs the package `cryptography`: {INSTALL}")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PrivateKey,
        )

        self._key: Any = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = _text(bytes([_USER]) + self._key.public_key().public_bytes_raw())
        """The public key, `U...`."""

    def __repr__(self) -> str:
        return f"Signer({self.public!r})"

    @classmethod
    def new(cls) -> Self:
        """A new random key."""
        from secrets import token_bytes  # noqa: PLC0415  nothing else here needs it

        return cls(token_bytes(_SIZE))

    @classmethod
    def from_seed(cls, seed: str) -> Self:
        """The key of a seed, `SU...`.

        Raises:
            InvalidSettings: it is not a seed, or the package that signs is missing; the message
                does not show the text.
        """
        raw = _raw(seed) if _SEED_TEXT.fullmatch(seed) else None
        if raw is None or raw[:2] != _SEED_HEAD:
            raise InvalidSettings(
                "this is not the seed of a user's nkey: it should be 58 characters that begin "
                "with SU"
            )
        return cls(raw[2:])

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The key in a file: a seed on a line, or a credentials file.

        Raises:
            InvalidSettings: it cannot be read, or holds no seed or several.
        """
        try:
            found = set(_SEED_IN_FILE.findall(Path(path).read_bytes()))
        except OSError as error:
            raise InvalidSettings(f"cannot read the nkey {path}: {error.strerror}") from None
        if len(found) != 1:
            raise InvalidSettings(
                f"{path} does not hold the seed of a user's nkey (one line that begins with SU), "
                "nor is it a credentials file"
            )
        return cls.from_seed(found.pop().decode())

    @property
    def seed(self) -> str:
        """The seed, `SU...`: a secret, for a file that only its owner can read."""
        return _text(_SEED_HEAD + self._key.private_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of the signature."""
        signature: bytes = self._key.sign(data)
        return signature


def _text(raw: bytes) -> str:
    check = binascii.crc_hqx(raw, 0).to_bytes(_CHECK, "little")  # XMODEM's CRC-16
    return base64.b32encode(raw + check).decode().rstrip("=")


def _raw(text: str) -> bytes | None:
    """The content of a text, without its checksum; None if the checksum is wrong."""
    raw = base64.b32decode(text + "=" * (-len(text) % 8))
    return raw[:-_CHECK] if _text(raw[:-_CHECK]) == text else None
