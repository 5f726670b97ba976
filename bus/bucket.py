"""A key-value bucket whose every write is a rollup, with compare-and-set.

Deletes in a bucket of history 1 can come back after a server crash on R1; buckets with a longer
history whose every write carries `Nats-Rollup: sub` do not have that fault (measured).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, TypeVar

import msgspec

from .errors import BusError, StreamMissing
from .reading import every, sequence
from .requests import Requests
from .sealing import Sealing
from .token import is_key

_NO_RESPONDERS = "503"
_GONE = frozenset({10037, 10057})
"""What the server says of a message that is there no more."""

T = TypeVar("T")


class Item(NamedTuple):
    """A key's newest value."""

    key: str
    value: bytes
    revision: int

    def read(self, decode: Callable[[bytes], T]) -> T | None:
        """What it holds; None for a marker, and for what Layby did not write."""
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
        self._prefix = requests.names.keys(name, "")

    @property
    def vault(self) -> Sealing | None:
        """What seals and opens values; None: there is no keyring here."""
        return self._requests.vault

    def place(self, key: str) -> str:
        """The subject that a key is stored under."""
        return f"{self._prefix}{key}"

    async def get(self, key: str) -> Item | None:
        """The newest value of `key`, None when there is none.

        Raises:
            StreamMissing: there is no such bucket, or nobody leads it right now.
        """
        msg = await self._requests.request(f"$JS.API.DIRECT.GET.{self._stream}.{self._prefix}{key}")
        if msg.status == _NO_RESPONDERS:
            raise StreamMissing(f"nobody answers for the bucket {self.name}", code=503)
        if msg.status or not msg.data:
            return None
        return Item(key, msg.data, int(msg.headers["Nats-Sequence"]))

    async def get_newest(self, key: str) -> Item | None:
        """The newest value by the stream's leader, where a lagging copy would do harm."""
        item = await self.get_written(key)
        return item if item and item.value else None

    async def get_written(self, key: str) -> Item | None:
        """Like `get_newest`, a marker too: whoever writes next must name its revision."""
        stored = await self._requests.stored(self._stream, last=f"{self._prefix}{key}")
        return Item(key, stored.data, stored.seq) if stored else None

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        revision: int | None = None,
        ttl: float | None = None,
        beside: bool = False,
    ) -> int:
        """Write `key` and return its revision.

        `revision` demands what the newest is: 0 for a key that must not exist, None for any.
        `ttl` seconds after this write the key is forgotten; for values that decide nothing more.
        `beside` leaves what was there before for `wipe`.

        Raises:
            Conflict: the newest revision is another.
        """
        headers = {} if beside else {"Nats-Rollup": "sub"}
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        if ttl is not None:
            headers["Nats-TTL"] = f"{max(1, round(ttl))}s"
        ack = await self._requests.store(self._prefix + key, value, headers)
        return ack.seq

    async def wipe(self, key: str, newest: int) -> None:
        """Write over what `key` held before the revision `newest`, on the disk too. Repeatable."""
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
        """Leave nothing of `key` but an empty marker that goes by itself."""
        await self.put(key, b"", ttl=60.0)

    async def items(self) -> AsyncIterator[Item]:
        """Every key with its newest value, oldest write first."""
        async for message in every(self._requests, self._stream, f"{self._prefix}>"):
            key = message.headers["Nats-Subject"].removeprefix(self._prefix)
            if message.data and is_key(key):  # nobody of ours has written another
                yield Item(key, message.data, sequence(message))
