"""A key-value bucket with compare-and-set, in which every write is a rollup.

On R1, deletes in a bucket of history 1 can be undone by a server crash. Buckets with a longer
history in which every write has `Nats-Rollup: sub` do not have that fault (measured).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import NamedTuple, TypeVar

import msgspec

from .errors import BusError, StreamMissing
from .group_commit import GroupCommit
from .reading import each_newest, every, sequence
from .requests import Requests
from .sealing import Sealing
from .token import is_key
from .wire import Message

_NO_RESPONDERS = "503"
_GONE = frozenset({10037, 10057})
"""The server's codes for a message that is no longer there."""

T = TypeVar("T")


class Item(NamedTuple):
    """A key's newest value."""

    key: str
    value: bytes
    revision: int

    def read(self, decode: Callable[[bytes], T]) -> T | None:
        """Decode the value; None for a marker, and for a value that Layby did not write."""
        try:
            return decode(self.value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None


class Bucket:
    """One bucket; keys must be subject tokens (see `token.encode`)."""

    def __init__(self, requests: Requests, name: str) -> None:
        self.name = requests.names.bucket(name)
        self._stream = requests.names.bucket_stream(name)
        self._requests = requests
        self._group = GroupCommit(requests, self._stream)
        self._prefix = requests.names.keys(name, "")

    @property
    def vault(self) -> Sealing | None:
        """Encrypts and decrypts values; None: there is no keyring here."""
        return self._requests.vault

    def place(self, key: str) -> str:
        """The subject that a key is stored under."""
        return f"{self._prefix}{key}"

    async def get(self, key: str) -> Item | None:
        """The newest value of `key`, None when there is none.

        Raises:
            StreamMissing: there is no such bucket, or it has no leader now.
        """
        msg = await self._requests.read(f"$JS.API.DIRECT.GET.{self._stream}.{self._prefix}{key}")
        if msg.status == _NO_RESPONDERS:
            raise StreamMissing(f"no server answers for the bucket {self.name}", code=503)
        if msg.status or not msg.data:
            return None
        return Item(key, msg.data, int(msg.headers["Nats-Sequence"]))

    async def each_of(self, keys: Iterable[str]) -> AsyncGenerator[Item]:
        """The values of those keys that have one, from any copy. At most 1,024 keys."""
        subjects = [f"{self._prefix}{key}" for key in keys]
        async with aclosing(each_newest(self._requests, self._stream, subjects)) as messages:
            async for message in messages:
                if message.data:
                    yield self._item(message)

    def _item(self, message: Message) -> Item:
        key = message.headers["Nats-Subject"].removeprefix(self._prefix)
        return Item(key, message.data, sequence(message))

    async def get_newest(self, key: str) -> Item | None:
        """The newest value from the stream's leader, where a lagging copy would do harm."""
        item = await self.get_raw(key)
        return item if item and item.value else None

    async def get_raw(self, key: str) -> Item | None:
        """Like `get_newest`, but markers too: the next write has to name their revision."""
        stored = await self._requests.stored(self._stream, last=f"{self._prefix}{key}")
        return Item(key, stored.data, stored.seq) if stored else None

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        revision: int | None = None,
        ttl: float | None = None,
        keep_old: bool = False,
    ) -> int:
        """Write `key` and return its revision.

        `revision` is what the newest must be: 0 for a key that must not exist, None for any.
        `ttl` is the seconds until the key is forgotten; only for values that no longer matter.
        `keep_old` leaves the previous value for `wipe`.

        Raises:
            Conflict: the newest revision is different.
        """
        headers = {} if keep_old else {"Nats-Rollup": "sub"}
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        if ttl is not None:
            headers["Nats-TTL"] = f"{max(1, round(ttl))}s"
        ack = await self._group.store(key, self._prefix + key, value, headers)
        return ack.seq

    async def wipe(self, key: str, newest: int) -> None:
        """Overwrite the values of `key` before the revision `newest`, also on disk. Repeatable."""
        async for message in every(self._requests, self._stream, f"{self._prefix}{key}"):
            if sequence(message) < newest:
                await self._wipe(sequence(message))

    async def _wipe(self, seq: int) -> None:
        try:
            await self._requests.api(f"STREAM.MSG.DELETE.{self._stream}", {"seq": seq})
        except BusError as error:
            if error.code not in _GONE:
                raise

    async def forget(self, key: str) -> None:
        """Replace `key` by an empty marker that expires."""
        await self.put(key, b"", ttl=60.0)

    async def items(self) -> AsyncIterator[Item]:
        """Every key with its newest value, oldest write first."""
        async for message in every(self._requests, self._stream, f"{self._prefix}>"):
            key = message.headers["Nats-Subject"].removeprefix(self._prefix)
            if message.data and is_key(key):  # Layby writes no other keys
                yield Item(key, message.data, sequence(message))
