"""The record `check` of the bucket `keys`: which keys of a keyring are in use.

It holds the secret that pseudonyms are made with, too.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .bucket import Bucket, Item
from .errors import Conflict, KeyMissing, Tampered
from .keyring import KeyService
from .sealing import new_secret
from .secret_record import SecretRecord, context_of, encode, read

CHECK = "check"
_TRIES = 20


class KeysInUse:
    """Checks, and notes, which keys wrap the records of one app."""

    def __init__(self, bucket: Bucket, ring: KeyService) -> None:
        self._bucket = bucket
        self._ring = ring
        self._root = b""
        """The secret that pseudonyms are made with, once the record was read."""

    async def check(self) -> None:
        """Check that the keyring holds every key in use, and note that its first key is in use too.

        Raises:
            KeyMissing: it does not hold one.
            StreamMissing: the bucket does not exist.
        """
        primary = await self._ring.primary()
        for _ in range(_TRIES):
            item = await self._bucket.get_raw(CHECK)
            record = read(item)
            if item is None or record is None:
                await self._begin(primary, item)
                continue
            missing = [key for key in record.used if not await self._ring.holds(key)]
            if missing:
                keys = ", ".join(map(repr, missing))
                raise KeyMissing(
                    f"data of this app is encrypted under {keys}, which the keyring does not hold: "
                    "add it after the first key, or run `layby keyring rotate` where both are held"
                )
            try:
                self._root = await self._ring.unwrap(
                    record.ring,
                    record.wrapped,
                    context_of(self._bucket.name, CHECK, record.generation),
                )
            except Tampered:
                raise KeyMissing(
                    f"the key {record.ring!r} of the keyring is not the one that encrypts this "
                    "app's data: two keys have the same id"
                ) from None
            if await self._write_used(item, record, _with(record.used, primary)):
                return
        raise self._busy()

    async def note(self, key: str) -> None:
        """Note that `key` wraps a record; a rotation may have dropped it in the meantime.

        Called after the record is written: a rotation that drops a key checks its records again.
        """
        await self._update(lambda used: _with(used, key))

    async def drop_others(self, key: str) -> None:
        """Note that only `key` wraps records now."""
        await self._update(lambda _: (key,))

    async def _update(self, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
        for _ in range(_TRIES):
            item = await self._bucket.get_raw(CHECK)
            record = read(item)
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
            await self._bucket.put(CHECK, encode(updated), revision=item.revision)
        except Conflict:
            return False
        return True

    def _busy(self) -> Conflict:
        return Conflict(f"the record {CHECK} of the bucket {self._bucket.name} kept changing")

    async def _begin(self, primary: str, item: Item | None) -> None:
        context = context_of(self._bucket.name, CHECK, 1)
        wrapped = await self._ring.wrap(primary, new_secret(), context)
        record = SecretRecord(ring=primary, wrapped=wrapped, used=(primary,))
        try:
            await self._bucket.put(CHECK, encode(record), revision=item.revision if item else 0)
        except Conflict:
            return

    async def secret(self) -> bytes:
        """The secret that pseudonyms are made with."""
        if not self._root:
            await self.check()
        return self._root


def _with(used: tuple[str, ...], key: str) -> tuple[str, ...]:
    return used if key in used else (*used, key)
