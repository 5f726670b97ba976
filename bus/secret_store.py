"""The bucket `keys`: the secrets that data keys are derived from, wrapped by a keyring.

A block `b-<id>` holds the secrets of many runs, so that a run costs no message of its own. The
secrets of a person and of a thread are stored under a pseudonym, `p-<id>` and `t-<id>`. The record
`check` holds the secret that pseudonyms are made with, and says which keys of the keyring are in
use: a worker reads it before it takes work.

A rotation only wraps these records again: sealed data stays as it is.
"""

from __future__ import annotations

import re
import secrets as chance
import time
from collections.abc import AsyncIterator, Callable, Collection

import msgspec

from .bounded import Bounded
from .bucket import Bucket, Item
from .errors import Conflict, Erased, KeyMissing, SecretMissing, StreamMissing
from .keyring import KeyService
from .keys_in_use import KeysInUse
from .sealing import new_secret, pseudonym
from .secret_record import SecretRecord, context_of, encode, read

BUCKET = "keys"
BLOCK = 128
"""Runs that share a record."""
FRESH = 300.0
"""Seconds that unwrapped secrets are cached: after that the record is read again."""
THREAD = "t-"
"""Prefix of the name of a thread's record."""
PERSON = "p-"
"""Prefix of the name of a person's record."""
_A_PERSON = re.compile(r"p-[0-9a-f]{24}")
_SIZE = 32
_CACHED = 64_000_000
"""Bytes of unwrapped secrets that a worker caches."""
_TRIES = 20
_PROGRESS = 100


def is_person(name: str) -> bool:
    """Whether this is the name of a person's record."""
    return bool(_A_PERSON.fullmatch(name))


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rotation.

    Attributes:
        primary: The key that wraps everything from now on.
        rewrapped: How many records were wrapped again.
        left: By key: how many records were not, because the keyring lacks the key.
    """

    primary: str
    rewrapped: int
    left: dict[str, int] = {}


class Secrets(msgspec.Struct, frozen=True):
    """The unwrapped secrets of a record."""

    generation: int
    each: tuple[bytes | None, ...]
    """None: destroyed."""
    until: float
    """When to read them again, by the monotonic clock."""


class SecretStore:
    """Reads, creates and destroys the records of one app."""

    def __init__(self, bucket: Bucket, ring: KeyService, fresh: float = FRESH) -> None:
        self._bucket = bucket
        self._ring = ring
        self._fresh = fresh
        self._recent: Bounded[str, Secrets] = Bounded(_CACHED)
        self._in_use = KeysInUse(bucket, ring)

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
        record = read(item)
        if record is None:
            raise SecretMissing(f"bucket {self._bucket.name} has no record {name}: it was removed")
        return await self._unwrapped(name, record)

    async def generation(self, name: str) -> int:
        """The generation of a record, read from the stream's leader; 0 if it does not exist."""
        record = read(await self._bucket.get_newest(name))
        return 0 if record is None else record.generation

    async def new_block(self) -> str:
        """Create a record with a secret for each of `BLOCK` runs; return its name."""
        name = f"b-{chance.token_hex(8)}"
        await self._put(name, [new_secret() for _ in range(BLOCK)], 1, revision=0)
        return name

    async def named(self, name: str) -> Secrets:
        """The secrets of a person or thread; created if there are none, or they were destroyed."""
        while True:
            try:
                return await self.get(name)
            except Erased:
                pass
            except KeyMissing:
                if await self._bucket.get_newest(name) is not None:
                    raise
            item = await self._bucket.get_raw(name)
            record, revision = read(item), item.revision if item else 0
            if record is not None and record.ring:
                continue  # another worker created it a moment ago
            generation = record.generation + 1 if record is not None else 1
            try:
                await self._put(name, [new_secret()], generation, revision=revision)
            except Conflict:
                self._recent.pop(name)

    async def person(self, text: str) -> str:
        """The name of a person's record."""
        return f"{PERSON}{pseudonym(await self._in_use.secret(), f'person {text}')}"

    async def thread(self, text: str) -> str:
        """The name of a thread's record."""
        return f"{THREAD}{pseudonym(await self._in_use.secret(), f'thread {text}')}"

    def forget(self, name: str) -> None:
        """Read a record again when it is next needed."""
        self._recent.pop(name)

    async def check(self) -> None:
        """Check that the keyring holds every key in use, and note that its first key is in use too.

        Raises:
            KeyMissing: it does not hold one.
            StreamMissing: the bucket does not exist.
        """
        await self._in_use.check()

    async def _put(
        self, name: str, secrets: list[bytes], generation: int, *, revision: int
    ) -> None:
        primary = await self._ring.primary()
        joined = b"".join(secrets)
        wrapped = await self._ring.wrap(primary, joined, self._context(name, generation))
        record = SecretRecord(ring=primary, wrapped=wrapped, generation=generation)
        await self._bucket.put(name, encode(record), revision=revision)
        await self._in_use.note(primary)
        self._remember(name, Secrets(generation, tuple(secrets), time.monotonic() + self._fresh))

    async def _unwrapped(self, name: str, record: SecretRecord) -> Secrets:
        if not record.ring:
            raise Erased(f"the key {name} was destroyed: its data can no longer be read")
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
        return context_of(self._bucket.name, name, generation)

    async def destroy(self, name: str, slots: Collection[int] | None = None) -> bool:
        """Destroy the secret of a person or thread, or some of a block; True if there was one.

        The previous value of the record is overwritten. Repeatable.

        Raises:
            KeyMissing: the keyring does not hold the key that wraps the others of a block.
        """
        for _ in range(_TRIES):
            item = await self._bucket.get_raw(name)
            record = read(item)
            if item is None or record is None:
                return False
            left = await self._without(name, record, slots)
            if left == record:
                await self._bucket.wipe(name, item.revision)
                self.forget(name)
                return False
            try:
                revision = await self._bucket.put(
                    name, encode(left), revision=item.revision, keep_old=True
                )
            except Conflict:
                continue
            await self._bucket.wipe(name, revision)
            self.forget(name)
            return True
        raise Conflict(f"the record {name} of the bucket {self._bucket.name} kept changing")

    async def _without(
        self, name: str, record: SecretRecord, slots: Collection[int] | None
    ) -> SecretRecord:
        """The record without some of its secrets, or without any."""
        gone = {*record.destroyed, *(range(BLOCK) if slots is None else slots)}
        if slots is None or len(gone) >= BLOCK:
            return SecretRecord(generation=record.generation)
        if not record.ring or len(gone) == len(record.destroyed):
            return record
        context = self._context(name, record.generation)
        joined = bytearray(await self._ring.unwrap(record.ring, record.wrapped, context))
        for slot in gone:
            joined[slot * _SIZE : (slot + 1) * _SIZE] = bytes(_SIZE)
        wrapped = await self._ring.wrap(record.ring, bytes(joined), context)
        return msgspec.structs.replace(record, wrapped=wrapped, destroyed=tuple(sorted(gone)))

    async def rotate(self, progress: Callable[[int], None] | None = None) -> Rotated:
        """Wrap every record again with the primary key, so that the others are no longer needed.

        May be stopped and repeated; workers need not stop. A key is dropped from those in use once
        no record is wrapped by it.

        Raises:
            KeyMissing: the keyring lacks a key in use; nothing was changed.
            StreamMissing: the bucket does not exist.
        """
        await self.check()  # notes the primary key, and workers without it are refused from then on
        primary = await self._ring.primary()
        done, left = await self._rewrap(primary, 0, progress)
        if not left:
            await self._in_use.drop_others(primary)
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
        """Wrap a record again; False where the keyring lacks its key."""
        for _ in range(_TRIES):
            item = await self._bucket.get_raw(name)
            record = read(item)
            if item is None or record is None or record.ring in {"", primary}:
                return True
            if not await self._ring.holds(record.ring):
                return False
            context = self._context(name, record.generation)
            joined = await self._ring.unwrap(record.ring, record.wrapped, context)
            wrapped = await self._ring.wrap(primary, joined, context)
            data = encode(msgspec.structs.replace(record, ring=primary, wrapped=wrapped))
            try:
                revision = await self._bucket.put(name, data, revision=item.revision, keep_old=True)
            except Conflict:
                continue
            await self._bucket.wipe(name, revision)
            return True
        return False

    async def wrapped_by(self) -> dict[str, int]:
        """How many records each key of the keyring wraps."""
        found: dict[str, int] = {}
        async for _, record in self.records():
            if record.ring:
                found[record.ring] = found.get(record.ring, 0) + 1
        return found

    @property
    def ring(self) -> KeyService:
        """The keyring that wraps the records."""
        return self._ring

    async def records(self) -> AsyncIterator[tuple[Item, SecretRecord]]:
        """Every record, as stored."""
        try:
            async for item in self._bucket.items():
                record = read(item)
                if record is not None:
                    yield item, record
        except StreamMissing:
            return  # nothing was ever encrypted
