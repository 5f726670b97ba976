"""The bucket `keys`: the secrets that data keys are made from, wrapped by a keyring.

A block `b-<id>` holds a hundred secrets, each for one run: so a run costs no message of its own.
The secrets of a person and of a thread lie under a pseudonym, `p-<id>` and `t-<id>`. The record
`check` holds the secret that pseudonyms are made with, and says which keys of the keyring are in
use: a worker looks there before it takes work.

Nothing is wrapped anew in place but the record: what is sealed stays as it is.
"""

from __future__ import annotations

import re
import secrets as chance
import time
from collections.abc import AsyncIterator, Callable

import msgspec

from .bounded import Bounded
from .bucket import Bucket, Item
from .errors import Conflict, Erased, KeyMissing, StreamMissing, Tampered
from .keyring import KeyService
from .sealing import new_secret, pseudonym

BUCKET = "keys"
BLOCK = 128
"""Runs that share a record."""
FRESH = 300.0
"""Seconds that unwrapped secrets are trusted: after that the record is read again."""
CHECK = "check"
THREAD = "t-"
"""How the name of a thread's record begins."""
PERSON = "p-"
"""How that of a person begins."""
_A_PERSON = re.compile(r"p-[0-9a-f]{24}")
_SIZE = 32
_CACHED = 64_000_000
"""Bytes of unwrapped secrets that a worker remembers."""
_TRIES = 20
_PROGRESS = 100


class SecretRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Wrapped secrets."""

    ring: str = ""
    """The key of the keyring that wraps them; empty: all of them were destroyed."""
    wrapped: bytes = b""
    generation: int = 1
    """Which secret of a person or thread this is: a destroyed one is followed by another."""
    destroyed: tuple[int, ...] = ()
    """Places in the block whose secrets are no more."""
    used: tuple[str, ...] = ()
    """Of the record `check`: the keys of the keyring that records may be wrapped by."""


decode = msgspec.json.Decoder(SecretRecord).decode
_encode = msgspec.json.Encoder().encode


def is_person(name: str) -> bool:
    """Whether a record's name is that of a person's."""
    return bool(_A_PERSON.fullmatch(name))


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation has done.

    Attributes:
        primary: The key that everything is to be wrapped by.
        rewrapped: How many records were wrapped anew.
        left: How many were not, for want of the key that wraps them, by that key.
    """

    primary: str
    rewrapped: int
    left: dict[str, int] = {}


class Secrets(msgspec.Struct, frozen=True):
    """What a record holds, unwrapped."""

    generation: int
    each: tuple[bytes | None, ...]
    """None: destroyed."""
    until: float
    """When they are to be read again, by the monotonic clock."""


class SecretStore:
    """Reads, makes and destroys the records of one app."""

    def __init__(self, bucket: Bucket, ring: KeyService, fresh: float = FRESH) -> None:
        self._bucket = bucket
        self._ring = ring
        self._fresh = fresh
        self._recent: Bounded[str, Secrets] = Bounded(_CACHED)
        self._root = b""

    async def get(self, name: str) -> Secrets:
        """The secrets of a record.

        Raises:
            Erased: they were destroyed.
            KeyMissing: the keyring does not hold the key that wraps them, or there is no record.
        """
        known = self._recent.get(name)
        if known is not None and known.until > time.monotonic():
            return known
        item = await self._bucket.get(name) or await self._bucket.get_newest(name)
        record = _read(item)
        if record is None:
            raise KeyMissing(f"the bucket {self._bucket.name} has no record {name}: it was removed")
        return await self._unwrapped(name, record)

    async def new_block(self) -> str:
        """A record with a secret for each of `BLOCK` runs; its name."""
        name = f"b-{chance.token_hex(8)}"
        await self._put(name, [new_secret() for _ in range(BLOCK)], 1, revision=0)
        return name

    async def named(self, name: str) -> Secrets:
        """The secrets of a person or thread; made where there are none, or no more."""
        while True:
            try:
                return await self.get(name)
            except Erased:
                pass
            except KeyMissing:
                if await self._bucket.get_newest(name) is not None:
                    raise
            item = await self._bucket.get_written(name)
            record, revision = _read(item), item.revision if item else 0
            if record is not None and record.ring:
                continue  # made by somebody else a moment ago
            generation = record.generation + 1 if record is not None else 1
            try:
                await self._put(name, [new_secret()], generation, revision=revision)
            except Conflict:
                self._recent.pop(name)

    async def person(self, text: str) -> str:
        """The record of a person."""
        return f"{PERSON}{pseudonym(await self._secret(), f'person {text}')}"

    async def thread(self, text: str) -> str:
        """The record of a thread."""
        return f"{THREAD}{pseudonym(await self._secret(), f'thread {text}')}"

    def forget(self, name: str) -> None:
        """Read a record anew when it is needed next."""
        self._recent.pop(name)

    async def check(self) -> None:
        """Make sure that the keyring can open what the app may meet; see `used`.

        Raises:
            KeyMissing: it cannot.
            StreamMissing: the bucket does not exist.
        """
        primary = await self._ring.primary()
        for _ in range(_TRIES):
            item = await self._bucket.get_written(CHECK)
            record = _read(item)
            if item is None or record is None:
                await self._begin(primary, item)
                continue
            missing = [key for key in record.used if not await self._ring.holds(key)]
            if missing:
                keys = ", ".join(map(repr, missing))
                raise KeyMissing(
                    f"data of this app is encrypted under {keys}, which the keyring does not hold: "
                    "add it behind the first key, or run `layby keyring rotate` where both are held"
                )
            try:
                self._root = await self._ring.unwrap(
                    record.ring, record.wrapped, self._context(CHECK, record.generation)
                )
            except Tampered:
                raise KeyMissing(
                    f"the key {record.ring!r} of the keyring is not the one of that id that this "
                    "app's data is encrypted under: two keys have the same id"
                ) from None
            if await self._note(primary, item, record):
                return
        raise self._busy()

    async def _use(self, primary: str) -> None:
        """Have it noted that a record is wrapped by a key, which may have been dropped meanwhile.

        After the record is written: whoever drops a key looks for its records once more after.
        """
        for _ in range(_TRIES):
            item = await self._bucket.get_written(CHECK)
            record = _read(item)
            if item is None or record is None or await self._note(primary, item, record):
                return
        raise self._busy()

    async def _note(self, primary: str, item: Item, record: SecretRecord) -> bool:
        """Note that a key is in use; False where the record has changed."""
        if primary in record.used:
            return True
        used = msgspec.structs.replace(record, used=(*record.used, primary))
        try:
            await self._bucket.put(CHECK, _encode(used), revision=item.revision)
        except Conflict:
            return False
        return True

    def _busy(self) -> Conflict:
        return Conflict(f"the record {CHECK} of the bucket {self._bucket.name} kept changing")

    async def _begin(self, primary: str, item: Item | None) -> None:
        context = self._context(CHECK, 1)
        wrapped = await self._ring.wrap(primary, new_secret(), context)
        record = SecretRecord(ring=primary, wrapped=wrapped, used=(primary,))
        try:
            await self._bucket.put(CHECK, _encode(record), revision=item.revision if item else 0)
        except Conflict:
            return

    async def _secret(self) -> bytes:
        """The secret that pseudonyms are made with."""
        if not self._root:
            await self.check()
        return self._root

    async def _put(
        self, name: str, secrets: list[bytes], generation: int, *, revision: int
    ) -> None:
        primary = await self._ring.primary()
        joined = b"".join(secrets)
        wrapped = await self._ring.wrap(primary, joined, self._context(name, generation))
        record = SecretRecord(ring=primary, wrapped=wrapped, generation=generation)
        await self._bucket.put(name, _encode(record), revision=revision)
        await self._use(primary)
        self._remember(name, Secrets(generation, tuple(secrets), time.monotonic() + self._fresh))

    async def _unwrapped(self, name: str, record: SecretRecord) -> Secrets:
        if not record.ring:
            raise Erased(f"the key {name} was destroyed: what it sealed cannot be read any more")
        context = self._context(name, record.generation)
        joined = await self._ring.unwrap(record.ring, record.wrapped, context)
        each = tuple(
            None if at // _SIZE in record.destroyed else joined[at : at + _SIZE]
            for at in range(0, len(joined), _SIZE)
        )
        found = Secrets(record.generation, each, time.monotonic() + self._fresh)
        self._remember(name, found)
        return found

    def _remember(self, name: str, found: Secrets) -> None:
        self._recent.put(name, found, 100 + 50 * len(found.each))

    def _context(self, name: str, generation: int) -> str:
        return f"{self._bucket.name}/{name}/{generation}"

    async def destroy(self, name: str, slot: int | None = None) -> bool:
        """Destroy the secret of a person or thread, or one of a block; whether there was one.

        What the record was before is written over. Repeatable: the first write has decided.

        Raises:
            KeyMissing: of a block: the keyring does not hold what wraps the others.
        """
        for _ in range(_TRIES):
            item = await self._bucket.get_written(name)
            record = _read(item)
            if item is None or record is None:
                return False
            left = await self._without(name, record, slot)
            if left == record:
                await self._bucket.wipe(name, item.revision)
                self.forget(name)
                return False
            try:
                revision = await self._bucket.put(
                    name, _encode(left), revision=item.revision, beside=True
                )
            except Conflict:
                continue
            await self._bucket.wipe(name, revision)
            self.forget(name)
            return True
        raise Conflict(f"the record {name} of the bucket {self._bucket.name} kept changing")

    async def _without(self, name: str, record: SecretRecord, slot: int | None) -> SecretRecord:
        """A record that lacks a secret, or holds none any more."""
        if slot is None:
            return SecretRecord(generation=record.generation)
        if not record.ring or slot in record.destroyed:
            return record
        context = self._context(name, record.generation)
        joined = await self._ring.unwrap(record.ring, record.wrapped, context)
        at = slot * _SIZE
        joined = joined[:at] + bytes(_SIZE) + joined[at + _SIZE :]
        return msgspec.structs.replace(
            record,
            wrapped=await self._ring.wrap(record.ring, joined, context),
            destroyed=tuple(sorted({*record.destroyed, slot})),
        )

    async def rotate(self, progress: Callable[[int], None] | None = None) -> Rotated:
        """Wrap every record anew with the primary key, so that the others are needed no more.

        May be stopped and repeated; workers need not stop. A key is dropped from those that are in
        use once no record is wrapped by it.
        """
        primary = await self._ring.primary()
        await self._use(primary)
        done, left = await self._rewrap(primary, 0, progress)
        if not left:
            await self._only(primary)
            # A worker that still has another key first may have written a record meanwhile.
            done, left = await self._rewrap(primary, done, progress)
        return Rotated(primary=primary, rewrapped=done, left=left)

    async def _rewrap(
        self, primary: str, done: int, progress: Callable[[int], None] | None
    ) -> tuple[int, dict[str, int]]:
        left: dict[str, int] = {}
        async for item, record in self.records():
            if record.ring in {"", primary}:
                continue
            if await self._rewrap_one(primary, item.key):
                done += 1
                if progress is not None and done % _PROGRESS == 0:
                    progress(done)
            else:
                left[record.ring] = left.get(record.ring, 0) + 1
        return done, left

    async def _rewrap_one(self, primary: str, name: str) -> bool:
        """Wrap a record anew; False where the keyring cannot."""
        for _ in range(_TRIES):
            item = await self._bucket.get_written(name)
            record = _read(item)
            if item is None or record is None or record.ring in {"", primary}:
                return True
            if not await self._ring.holds(record.ring):
                return False
            context = self._context(name, record.generation)
            joined = await self._ring.unwrap(record.ring, record.wrapped, context)
            wrapped = await self._ring.wrap(primary, joined, context)
            anew = msgspec.structs.replace(record, ring=primary, wrapped=wrapped)
            try:
                revision = await self._bucket.put(
                    name, _encode(anew), revision=item.revision, beside=True
                )
            except Conflict:
                continue
            await self._bucket.wipe(name, revision)
            return True
        return False

    async def _only(self, primary: str) -> None:
        """Note that only one key is in use."""
        for _ in range(_TRIES):
            item = await self._bucket.get_written(CHECK)
            record = _read(item)
            if item is None or record is None or record.used == (primary,):
                return
            only = msgspec.structs.replace(record, used=(primary,))
            try:
                await self._bucket.put(CHECK, _encode(only), revision=item.revision)
            except Conflict:
                continue
            return
        raise self._busy()

    async def wrapped_by(self) -> dict[str, int]:
        """How many records each key of the keyring wraps."""
        found: dict[str, int] = {}
        async for _, record in self.records():
            if record.ring:
                found[record.ring] = found.get(record.ring, 0) + 1
        return found

    async def holds(self, key: str) -> bool:
        """Whether the keyring has a key."""
        return await self._ring.holds(key)

    async def records(self) -> AsyncIterator[tuple[Item, SecretRecord]]:
        """Every record, as it is stored."""
        try:
            async for item in self._bucket.items():
                record = _read(item)
                if record is not None:
                    yield item, record
        except StreamMissing:
            return  # nothing was ever encrypted


def _read(item: Item | None) -> SecretRecord | None:
    return item.read(decode) if item is not None and item.value else None
