"""Sealed bytes: what a payload looks like that only who holds its key can read.

    mark (4) | length of the key's name (1) | the key's name | nonce (12) | AES-256-GCM ciphertext

The key's name says which records of the bucket `keys` the data key is made from; it is as plain as
a subject. The ciphertext is bound to that head and to its place, the subject or key that it is
stored under: moved to another place, or to another run, it does not open.

*Nonces.* Each data key belongs to one run or one thread, and each nonce is 96 fresh random bits:
no counter, so nothing to lose in a crash and nothing for two workers to agree on. With the 2^32
messages that NIST allows for one key, a nonce repeats with a chance below 2^-32; a run of 100,000
entries stays below 2^-60.
"""

from __future__ import annotations

import hmac
import os
from functools import cache
from typing import Protocol

import msgspec

from .errors import KeyMissing, MissingPackage, Tampered
from .token import is_word

MARK = b"\x93LB1"
"""How sealed bytes begin; JSON cannot, for it is no UTF-8."""
_NONCE = 12
_SECRET = 32
"""Bytes of a secret."""


class KeyName(msgspec.Struct, frozen=True):
    """Which secrets a data key is made from."""

    record: str
    """A record of the bucket `keys`."""
    slot: int = 0
    """Which of its secrets."""
    owner: str = ""
    """The record of the person whose data it is; empty: nobody was named."""
    generation: int = 0
    """Which secret of that person: a new one is made after an erasure."""

    def __str__(self) -> str:
        own = f"{self.record}/{self.slot}"
        return f"{own}/{self.owner}/{self.generation}" if self.owner else own

    @classmethod
    def parse(cls, text: str) -> KeyName:
        """The reverse of `str`. Raises Tampered."""
        parts = text.split("/")
        if not all(map(is_word, parts)):
            raise Tampered(f"{text[:80]!r} is not the name of a key")
        try:
            if len(parts) == 2:  # noqa: PLR2004
                return cls(parts[0], int(parts[1]))
            record, slot, owner, generation = parts
            return cls(record, int(slot), owner, int(generation))
        except ValueError:
            raise Tampered(f"{text[:80]!r} is not the name of a key") from None


class Cipher:
    """Seals and opens with one data key."""

    __slots__ = ("_aead", "_head", "_purpose", "_secrets", "_unsealed", "key")

    def __init__(self, key: KeyName, secrets: bytes, purpose: str) -> None:
        """`secrets` are those that `key` names, one after another; `purpose` is what it is for.

        Raises:
            MissingPackage: the package `cryptography` is not installed.
        """
        aead, self._unsealed = _primitives()
        self.key = key
        name = str(key).encode()
        self._head = MARK + bytes([len(name)]) + name
        self._secrets, self._purpose = secrets, purpose
        self._aead = aead(_derived(secrets, f"seal {purpose}"))

    def is_of(self, sealed: bytes) -> bool:
        """Whether sealed bytes name this key."""
        return sealed.startswith(self._head)

    def seal(self, data: bytes, place: str) -> bytes:
        """`data` for `place`, where alone it can be opened."""
        nonce = os.urandom(_NONCE)
        sealed = self._aead.encrypt(nonce, data, self._head + place.encode())
        return b"".join((self._head, nonce, sealed))

    def open(self, sealed: bytes, place: str) -> bytes:
        """The reverse. Raises Tampered for what was not sealed for `place` with this key."""
        head = len(self._head)
        if not sealed.startswith(self._head):
            raise Tampered(f"what lies at {place} is sealed with another key")
        nonce, body = sealed[head : head + _NONCE], sealed[head + _NONCE :]
        try:
            return bytes(self._aead.decrypt(nonce, body, self._head + place.encode()))
        except (self._unsealed, ValueError):
            raise Tampered(
                f"what lies at {place} was changed, or was not written for this place"
            ) from None

    def digest(self, data: bytes) -> str:
        """A name for `data` that tells nothing of it without the key."""
        key = _derived(self._secrets, f"digest {self._purpose}")
        return hmac.digest(key, data, "sha256").hex()


class Sealing(Protocol):
    """Finds the data keys; see `vault.Vault`."""

    async def check(self) -> None:
        """Make sure that the keyring holds what the app needs. Raises KeyMissing."""

    def forget(self, name: str) -> None:
        """Take note that a run's key, or what it was made from, may have been destroyed."""

    async def begin(self, run: str, person: str = "", parent: str = "") -> None:
        """Choose the key of a run that is believed to begin now; see `Vault.begin`."""

    async def key_name(self, run: str) -> KeyName | None:
        """The name of a run's key; None: there is no such run, or it is not encrypted."""
        ...

    async def sealed(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Position `n` of a run's log as it is stored on the subject `place`."""
        ...

    async def of_run(self, run: str) -> Cipher | None:
        """What seals what belongs to a run; None: the run began unsealed, and stays so."""
        ...

    def at_hand(self, run: str) -> Cipher | None:
        """The same where it is known already; None where it is not."""
        ...

    async def opened(self, run: str, sealed: bytes, place: str) -> bytes:
        """What was sealed for `place` and belongs to a run."""
        ...

    async def entry(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Position `n` of a run's log as it was before it was sealed."""
        ...

    async def of_thread(self, thread: str, run: str) -> Cipher:
        """What seals what `run` adds to a thread."""
        ...

    async def erase_thread(self, thread: str) -> None:
        """Destroy the key of a thread: what it sealed is lost."""

    async def thread_entry(self, thread: str, sealed: bytes, place: str) -> bytes:
        """What was sealed for `place` and belongs to a thread."""
        ...


def is_sealed(data: bytes) -> bool:
    """Whether it takes a key to read `data`; what begins so and names no key is rubbish."""
    if not data.startswith(MARK):
        return False
    try:
        key_of(data)
    except Tampered:
        return False
    return True


def key_of(sealed: bytes) -> KeyName:
    """The name of the key that sealed bytes need. Raises Tampered."""
    at = len(MARK) + 1
    end = at + sealed[at - 1] if len(sealed) >= at else 0
    try:
        return KeyName.parse(sealed[at:end].decode("ascii"))
    except UnicodeDecodeError:
        raise Tampered("sealed bytes without the name of their key") from None


def new_secret() -> bytes:
    """A fresh secret."""
    return os.urandom(_SECRET)


def _derived(secrets: bytes, purpose: str) -> bytes:
    """A key for one purpose: one block of HKDF-Expand with SHA-256 (RFC 5869).

    Secrets are random to the last bit, so there is nothing to extract first.
    """
    return hmac.digest(secrets, f"layby {purpose}".encode() + b"\x01", "sha256")


def pseudonym(secret: bytes, text: str) -> str:
    """A name for `text` that nobody can guess it from, and that is the same each time."""
    return hmac.digest(secret, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:24]


@cache
def _primitives() -> tuple[type, type[Exception]]:
    try:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  an extra
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    except ImportError:
        raise MissingPackage(
            "encryption needs the package `cryptography`: `pip install cryptography`"
        ) from None
    return AESGCM, InvalidTag


def wrapper(key: bytes) -> Wrapper:
    """Wraps and unwraps secrets with `key`. Raises MissingPackage."""
    aead, unsealed = _primitives()
    return Wrapper(aead(key), unsealed)


class Wrapper:
    """Wraps secrets with one key of a keyring."""

    def __init__(self, aead: object, unsealed: type[Exception]) -> None:
        self._aead: _Aead = aead  # type: ignore[assignment]
        self._unsealed = unsealed

    def wrap(self, secret: bytes, context: str) -> bytes:
        """`secret`, wrapped for `context`."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret, context.encode())

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        """The reverse. Raises Tampered."""
        try:
            return self._aead.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context.encode())
        except (self._unsealed, ValueError):
            raise Tampered(f"the secrets of {context} do not unwrap") from None


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


async def unsealed(vault: Sealing | None, run: str, data: bytes, place: str) -> bytes:
    """`data` of a run as it was before it was sealed, or as it is where it never was.

    Raises:
        KeyMissing: it takes a keyring that is not there, or does not hold the key.
        Erased: its key was destroyed.
        Tampered: it was changed, or moved to where it lies.
    """
    if not data.startswith(MARK):
        return data
    if vault is None:
        raise no_keyring(place)
    return await vault.opened(run, data, place)


def no_keyring(place: str) -> KeyMissing:
    """The error of who has no keyring at all."""
    return KeyMissing(
        f"what lies at {place} is encrypted, and there is no keyring here: give the app its "
        "encryption=, or set LAYBY_KEYS for a command"
    )
