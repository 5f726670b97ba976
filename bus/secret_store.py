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
from .errors import Conflict, Erased, KeyMissing, SecretMissing, StreamMissing, Tampered
from .keyring import KeyService
from .sealing import new_secret, pseudonym

BUCKET = "keys"
BLOCK = 128
"""Runs that share a record."""
FRESH = 300.0
"""Seconds that unwrapped secrets are cached: after that the record is read again."""
CHECK = "check"
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
_encode = msgspec.json.Encoder().encode


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
            raise SecretMissing(f"bucket {self._bucket.name} has no record {name}: it was removed")
        return await self._unwrapped(name, record)

    async def generation(self, name: str) -> int:
        """The generation of a record, read from the stream's leader; 0 if it does not exist."""
        record = _read(await self._bucket.get_newest(name))
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
            record, revision = _read(item), item.revision if item else 0
            if record is not None and record.ring:
                continue  # another worker created it a moment ago
            generation = record.generation + 1 if record is not None else 1
            try:
                await self._put(name, [new_secret()], generation, revision=revision)
            except Conflict:
                self._recent.pop(name)

    async def person(self, text: str) -> str:
        """The name of a person's record."""
        return f"{PERSON}{pseudonym(await self._secret(), f'person {text}')}"

    async def thread(self, text: str) -> str:
        """The name of a thread's record."""
        return f"{THREAD}{pseudonym(await self._secret(), f'thread {text}')}"

    def forget(self, name: str) -> None:
        """Read a record again when it is next needed."""
        self._recent.pop(name)

    async def check(self) -> None:
        """Check that the keyring holds every key in use, and note that its first key is in use too.

        Raises:
            KeyMissing: it does not hold one.
            StreamMissing: the bucket does not exist.
        """
        primary = await self._ring.primary()
        for _ in range(_TRIES):
            item = await self._bucket.get_raw(CHECK)
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
            if await self._write_used(item, record, _with(record.used, primary)):
                return
        raise self._busy()

    async def _note_in_use(self, key: str) -> None:
        """Note that `key` wraps a record; a rotation may have dropped it in the meantime.

        Called after the record is written: a rotation that drops a key checks its records again.
        """
        await self._update_used(lambda used: _with(used, key))

    async def _update_used(self, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
        for _ in range(_TRIES):
            item = await self._bucket.get_raw(CHECK)
            record = _read(item)
            if item is None or record is None:
                return
            if await self._write_used(item, record, change(record.used)):
                return
        raise self._busy()

    async def _write_used(self, item: Item, record: SecretRecord, used: tuple[str, ...]) -> bool:
        """Store which keys are in use; False where the record has changed."""
        if used == record.used:
            return True
        updated = msgspec.structs.replace(record, used=used)
        try:
            await self._bucket.put(CHECK, _encode(updated), revision=item.revision)
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
        await self._note_in_use(primary)
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
        return f"{self._bucket.name}/{name}/{generation}"

    async def destroy(self, name: str, slots: Collection[int] | None = None) -> bool:
        """Destroy the secret of a person or thread, or some of a block; True if there was one.

        The previous value of the record is overwritten. Repeatable.

        Raises:
            KeyMissing: the keyring does not hold the key that wraps the others of a block.
        """
        for _ in range(_TRIES):
            item = await self._bucket.get_raw(name)
            record = _read(item)
            if item is None or record is None:
                return False
            left = await self._without(name, record, slots)
            if left == record:
                await self._bucket.wipe(name, item.revision)
                self.forget(name)
                return False
            try:
                revision = await self._bucket.put(
                    name, _encode(left), revision=item.revision, keep_old=True
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
            await self._update_used(lambda _: (primary,))
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
            record = _read(item)
            if item is None or record is None or record.ring in {"", primary}:
                return True
            if not await self._ring.holds(record.ring):
                return False
            context = self._context(name, record.generation)
            joined = await self._ring.unwrap(record.ring, record.wrapped, context)
            wrapped = await self._ring.wrap(primary, joined, context)
            data = _encode(msgspec.structs.replace(record, ring=primary, wrapped=wrapped))
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
                record = _read(item)
                if record is not None:
                    yield item, record
        except StreamMissing:
            return  # nothing was ever encrypted


def _with(used: tuple[str, ...], key: str) -> tuple[str, ...]:
    return used if key in used else (*used, key)


def _read(item: Item | None) -> SecretRecord | None:
    return item.read(decode) if item is not None and item.value else None
