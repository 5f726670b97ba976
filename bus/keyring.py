"""The operator's keys, which wrap the secrets that data is sealed with."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from .errors import InvalidSettings, KeyMissing
from .sealing import Wrapper, new_secret, wrapper

VARIABLE = "LAYBY_KEYS"
"""The environment variable that commands take a keyring from."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SIZE = 32
_HOW = "make one with `layby keyring new`"


@runtime_checkable
class KeyService(Protocol):
    """Wraps secrets: a `Keyring`, or a client of a KMS that you write.

    A secret is about 4 KB for 128 runs, or 32 bytes for a person. Unwrapped secrets are cached for
    minutes, so a service is rarely asked.
    """

    async def primary(self) -> str:
        """The id of the key that wraps new secrets: 1 to 64 letters, digits, `.`, `_` and `-`."""
        ...

    async def holds(self, key: str) -> bool:
        """Whether it holds this key."""
        ...

    async def wrap(self, key: str, secret: bytes, context: str) -> bytes:
        """`secret`, wrapped with a key and bound to `context`."""
        ...

    async def unwrap(self, key: str, wrapped: bytes, context: str) -> bytes:
        """The reverse.

        Raises:
            KeyMissing: there is no such key.
            Tampered: it was wrapped with another key, or for another context.
        """
        ...


class Keyring:
    """Keys of 32 bytes by id: the first wraps new secrets, the others only unwrap old ones.

    Raises:
        InvalidSettings: there is no key, or one is not 32 bytes, or an id is not valid.
    """

    def __init__(
        self, keys: Mapping[str, str | bytes] | Callable[[], Mapping[str, str | bytes]]
    ) -> None:
        """`keys` are bytes, or base64 of them, and the first is the primary one.

        A function that returns them is called when the first key is needed.
        """
        self._read = keys if callable(keys) else dict(keys).copy
        self._wrappers: dict[str, Wrapper] = {}
        self._checked: dict[str, bytes] = {} if callable(keys) else _checked(keys)

    @classmethod
    def from_env(cls, variable: str = VARIABLE) -> Keyring:
        """Keys from an environment variable: `2026-11:BASE64,2025-02:BASE64`.

        It is read when the first key is needed, so that an app can be imported without its keys.
        """
        return cls(lambda: _parsed(os.environ.get(variable, ""), f"${variable}"))

    @classmethod
    def from_file(cls, path: str | Path) -> Keyring:
        """Keys from a file: one per line, `2026-11:BASE64`; `#` begins a comment.

        It is read when the first key is needed.
        """
        return cls(lambda: _parsed(_text(Path(path)), str(path)))

    @property
    def ids(self) -> list[str]:
        """The ids of its keys, the first one's first. Raises InvalidSettings."""
        return list(self._keys)

    @property
    def _keys(self) -> dict[str, bytes]:
        if not self._checked:
            self._checked = _checked(self._read())
        return self._checked

    async def primary(self) -> str:
        """The id of the first key."""
        return next(iter(self._keys))

    async def holds(self, key: str) -> bool:
        """Whether the key is in the ring."""
        return key in self._keys

    async def wrap(self, key: str, secret: bytes, context: str) -> bytes:
        """`secret`, wrapped with a key and bound to `context`. Raises KeyMissing."""
        return self._wrapper(key).wrap(secret, context)

    async def unwrap(self, key: str, wrapped: bytes, context: str) -> bytes:
        """The reverse. Raises KeyMissing, Tampered."""
        return self._wrapper(key).unwrap(wrapped, context)

    def _wrapper(self, key: str) -> Wrapper:
        known = self._wrappers.get(key)
        if known is None:
            secret = self._keys.get(key)
            if secret is None:
                raise KeyMissing(f"the keyring does not hold the key {key!r}")
            known = self._wrappers[key] = wrapper(secret)
        return known

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._checked) or 'not read yet'})"


def new_key(key: str) -> str:
    """A fresh key as a line of a keyring, `id:BASE64`. Raises InvalidSettings."""
    return f"{_named(key)}:{base64.b64encode(new_secret()).decode()}"


def _parsed(text: str, source: str) -> dict[str, str | bytes]:
    found: dict[str, str | bytes] = {}
    for line in text.replace(",", "\n").splitlines():
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        key, colon, secret = entry.partition(":")
        if not colon or key in found:
            raise InvalidSettings(
                f"{source} is not a keyring: write id:BASE64 for each key, each id once; {_HOW}"
            )
        found[key.strip()] = secret.strip()
    if not found:
        raise InvalidSettings(f"{source} holds no key: the app is encrypted and needs one; {_HOW}")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InvalidSettings(f"the keyring {path} cannot be read: {reason}") from None


def _checked(keys: Mapping[str, str | bytes]) -> dict[str, bytes]:
    if not keys:
        raise InvalidSettings(f"a keyring needs at least one key; {_HOW}")
    return {_named(key): _bytes(key, secret) for key, secret in keys.items()}


def _named(key: str) -> str:
    if not _ID.fullmatch(key):
        raise InvalidSettings(
            f"{key[:64]!r} cannot be the id of a key: use 1 to 64 letters, digits, '.', '_' and '-'"
        )
    return key


def _bytes(key: str, secret: str | bytes) -> bytes:
    try:
        found = secret if isinstance(secret, bytes) else base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != _SIZE:
        raise InvalidSettings(f"the key {key!r} is not {_SIZE} bytes in base64; {_HOW}")
    return found
