"""Sealed bytes: the format of encrypted payloads.

    mark (4) | length of the key's name (1) | the key's name | nonce (12) | AES-256-GCM ciphertext

The key's name says which records of the bucket `keys` the data key is derived from; it is not
secret. The ciphertext is bound to that header and to its place, the subject or key that it is
stored under: moved to another place or another run, it cannot be decrypted.

*Nonces.* Each data key belongs to one run or one thread, and each nonce is 96 fresh random bits:
no counter, so nothing to lose in a crash and nothing for two workers to agree on. Each is drawn
when it is needed, because nonces kept for later would be shared by a fork or by a clone of a
running virtual machine. With the 2^32 messages that NIST allows for one key, a nonce repeats with
a chance below 2^-32; a run of 100,000 entries stays below 2^-60.
"""

from __future__ import annotations

import hmac
import os
import re
from functools import cache
from typing import Protocol

import msgspec

from .errors import KeyMissing, MissingPackage, Tampered
from .token import is_word

MARK = b"\x93LB1"
"""How sealed bytes begin. JSON cannot begin so, because this is not UTF-8."""
_NONCE = 12
_SECRET = 32
"""Bytes of a secret."""
_NUMBER = re.compile(r"[0-9]{1,9}")


class KeyName(msgspec.Struct, frozen=True):
    """Which secrets a data key is derived from."""

    record: str
    """A record of the bucket `keys`."""
    slot: int = 0
    """Which of its secrets."""
    owner: str = ""
    """The record of the person whose data it is; empty if no person was named."""
    generation: int = 0
    """Which secret of that person: an erasure is followed by a new one."""

    def __str__(self) -> str:
        own = f"{self.record}/{self.slot}"
        return f"{own}/{self.owner}/{self.generation}" if self.owner else own

    @classmethod
    def parse(cls, text: str) -> KeyName:
        """The reverse of `str`. Raises Tampered."""
        parts = text.split("/")
        if not all(map(is_word, parts)) or not all(map(_NUMBER.fullmatch, parts[1::2])):
            raise Tampered(f"{text[:80]!r} is not the name of a key")
        try:
            if len(parts) == 2:  # noqa: PLR2004
                return cls(parts[0], int(parts[1]))
            record, slot, owner, generation = parts
            return cls(record, int(slot), owner, int(generation))
        except ValueError:
            raise Tampered(f"{text[:80]!r} is not the name of a key") from None


class Cipher:
    """Encrypts and decrypts with one data key."""

    __slots__ = ("_aead", "_head", "_purpose", "_secrets", "_unsealed", "key")

    def __init__(self, key: KeyName, secrets: bytes, purpose: str) -> None:
        """`secrets` are those that `key` names, concatenated; `purpose` is the run or thread.

        Raises:
            MissingPackage: the package `cryptography` is not installed.
        """
        aead, self._unsealed = _primitives()
        self.key = key
        name = str(key).encode()
        self._head = MARK + bytes([len(name)]) + name
        self._secrets, self._purpose = secrets, purpose
        self._aead: _Aead = aead(_derive(secrets, f"seal {purpose}"))

    def is_key_of(self, sealed: bytes) -> bool:
        """Whether sealed bytes name this key."""
        return sealed.startswith(self._head)

    def seal(self, data: bytes, place: str) -> bytes:
        """Encrypt `data` for `place`, the only place where it can be decrypted."""
        head, nonce = self._head, os.urandom(_NONCE)
        return b"".join((head, nonce, self._aead.encrypt(nonce, data, head + place.encode())))

    def open(self, sealed: bytes, place: str) -> bytes:
        """The reverse. Raises Tampered if it was not sealed for `place` with this key."""
        head = self._head
        if not sealed.startswith(head):
            raise Tampered(f"the data at {place} is sealed with another key")
        at = len(head) + _NONCE
        nonce, body = sealed[len(head) : at], sealed[at:]
        try:
            return self._aead.decrypt(nonce, body, head + place.encode())
        except (self._unsealed, ValueError):
            raise Tampered(
                f"the data at {place} was changed, or was not written for this place"
            ) from None

    def digest(self, data: bytes) -> str:
        """A keyed hash of `data`, which reveals nothing about it without the key."""
        key = _derive(self._secrets, f"digest {self._purpose}")
        return hmac.digest(key, data, "sha256").hex()


class Sealing(Protocol):
    """Finds the data keys; see `vault.Vault`."""

    async def check(self) -> None:
        """Check that the keyring holds the keys that the app needs. Raises KeyMissing."""

    def forget(self, name: str) -> None:
        """Note that a run's key, or a secret that it is derived from, may have been destroyed."""

    async def begin(self, run: str, person: str = "", parent: str = "") -> None:
        """Choose the key of a run that probably begins now; see `Vault.begin`."""

    async def key_name(self, run: str) -> KeyName | None:
        """The name of a run's key; None: there is no such run, or it is not encrypted."""
        ...

    async def sealed(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Position `n` of a run's log as it is stored on the subject `place`."""
        ...

    def began(self, run: str, first: bytes) -> None:
        """Note that the first entry of a run was stored here, as `first`."""

    def sealed_now(self, run: str, data: bytes, place: str) -> bytes | None:
        """What is sent but never stored, sealed if its run is; None: that is not known here."""
        ...

    async def of_run(self, run: str) -> Cipher | None:
        """The cipher for the data of a run; None: the run began unencrypted, and stays so."""
        ...

    def cached(self, run: str) -> Cipher | None:
        """The same if it is known already; otherwise None."""
        ...

    async def opened(self, run: str, sealed: bytes, place: str) -> bytes:
        """Decrypt data of a run that was sealed for `place`."""
        ...

    async def entry(self, run: str, n: int, data: bytes, place: str) -> bytes:
        """Decrypt position `n` of a run's log."""
        ...

    async def of_thread(self, thread: str, run: str) -> Cipher:
        """The cipher for what `run` adds to a thread."""
        ...

    async def erase_thread(self, thread: str) -> None:
        """Destroy the key of a thread: what it sealed is lost."""

    async def thread_entry(self, thread: str, sealed: bytes, place: str) -> bytes:
        """Decrypt an entry of a thread that was sealed for `place`."""
        ...


def is_sealed(data: bytes) -> bool:
    """Whether `data` is sealed: it begins with the mark, and names a key."""
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


def _derive(secrets: bytes, purpose: str) -> bytes:
    """A key for one purpose: one block of HKDF-Expand with SHA-256 (RFC 5869).

    The extract step is not needed, because secrets are uniformly random.
    """
    return hmac.digest(secrets, f"layby {purpose}".encode() + b"\x01", "sha256")


def pseudonym(secret: bytes, text: str) -> str:
    """A keyed hash of `text`: always the same, and useless for guessing the text."""
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
    """Decrypt `data` of a run if it is sealed; otherwise return it as it is.

    Raises:
        KeyMissing: there is no keyring here, or it does not hold the key.
        Erased: the key was destroyed.
        Tampered: the data was changed, or moved to this place.
    """
    if not data.startswith(MARK):
        return data
    if vault is None:
        raise no_keyring(place)
    return await vault.opened(run, data, place)


def no_keyring(place: str) -> KeyMissing:
    """The error where there is no keyring at all."""
    return KeyMissing(
        f"the data at {place} is encrypted, and there is no keyring here: give the app its "
        "encryption=, or set LAYBY_KEYS for a command"
    )
