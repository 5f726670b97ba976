"""Big values, each stored for the run that recorded it, under the hash of its content.

A value is a sequence of chunks `blob.<run>.<digest>.<k>`, each created once (so that a second
writer of the same content finds it there), and a last message `blob.<run>.<digest>.end` with their
number. A log refers to a value only once all of it is stored. Runs share no values, so a run's
values are removed with it, without counting references.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

import msgspec

from .bounded import Bounded
from .errors import BusError, Conflict, CopyLags, ValueLost
from .reading import newest
from .requests import Requests
from .sealing import Cipher, no_keyring

STREAM = "BLOBS"
_CHUNK = 256 * 1024
_CONFIRM_WITHIN = 5.0
"""Seconds that a chunk may take to be stored."""
_CACHED = 16_000_000
"""Bytes of big values that a worker caches."""
_PAGE = 16


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a log has instead of a big value."""

    digest: str = msgspec.field(name="$blob")
    size: int
    run: str = ""
    """The run that it belongs to; empty in logs of an earlier release that lacks it."""
    sealed: bool = False
    """Whether its chunks are encrypted with the key of its run, and its digest is keyed."""

    @property
    def place(self) -> str:
        """The subject of its chunks, without their numbers."""
        return f"blob.{self.run}.{self.digest}" if self.run else f"blob.{self.digest}"


_MARK = b'{"$blob":'
_decode = msgspec.json.Decoder(Reference).decode


class Blobs:
    """Stores big values and fetches them."""

    def __init__(self, requests: Requests, *, above: int = 64 * 1024) -> None:
        self._requests = requests
        self._names = requests.names
        self._above = above
        self._recent: Bounded[str, bytes] = Bounded(_CACHED)

    async def deflate(self, raw: msgspec.Raw, run: str) -> msgspec.Raw:
        """`raw`, or a reference to it when it is larger than 64 KiB or could pass for one."""
        data = bytes(raw)
        if len(data) <= self._above and not data.startswith(_MARK):
            return raw
        vault = self._requests.vault
        cipher = await vault.of_run(run) if vault is not None else None
        digest = cipher.digest(data) if cipher is not None else hashlib.sha256(data).hexdigest()
        reference = Reference(digest=digest, size=len(data), run=run, sealed=cipher is not None)
        await self._store(reference.place, data, cipher)
        self._recent.put(digest, data, len(data))
        return msgspec.Raw(msgspec.json.encode(reference))

    async def inflate(self, raw: msgspec.Raw) -> msgspec.Raw:
        """The value that `raw` is, or refers to. Raises ValueLost, BusError."""
        data = bytes(raw)
        if not data.startswith(_MARK):
            return raw
        try:
            reference = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueLost("the log has a malformed reference to a big value") from None
        found = self._recent.get(reference.digest)
        if found is None:
            found = await self._fetch(reference)
            self._recent.put(reference.digest, found, len(found))
        return msgspec.Raw(found)

    async def purge(self, run: str) -> None:
        """Remove the values of a run, to which nothing refers any longer. Repeatable."""
        named = self._names.subject(f"blob.{run}.>")
        await self._requests.api(f"STREAM.PURGE.{self._names.stream(STREAM)}", {"filter": named})

    async def _store(self, place: str, data: bytes, cipher: Cipher | None) -> None:
        chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
        for number, chunk in enumerate(chunks):
            subject = self._names.subject(f"{place}.{number}")
            await self._create(subject, cipher.seal(chunk, subject) if cipher else chunk)
        await self._create(self._names.subject(f"{place}.end"), str(len(chunks)).encode())

    async def _create(self, subject: str, data: bytes) -> None:
        headers = {"Nats-Expected-Last-Subject-Sequence": "0"}
        with suppress(Conflict):  # the same content was stored before
            await self._requests.store(subject, data, headers, timeout=_CONFIRM_WITHIN)

    async def _fetch(self, reference: Reference) -> bytes:
        numbers = range(-(-reference.size // _CHUNK))
        stream = self._names.stream(STREAM)
        chunks: list[bytes] = []
        for at in range(0, len(numbers), _PAGE):
            page = [self._names.subject(f"{reference.place}.{n}") for n in numbers[at : at + _PAGE]]
            messages = await newest(self._requests, stream, page)
            found = {message.headers["Nats-Subject"]: message.data for message in messages}
            chunks += [
                await self._opened(reference, found[subject], subject)
                for subject in page
                if subject in found
            ]
            missing = [subject for subject in page if subject not in found]
            if missing:
                raise await self._why_missing(stream, reference, missing[0])
        data = b"".join(chunks)
        complete = len(data) == reference.size
        if not reference.sealed:  # otherwise each chunk was authenticated in its place
            complete = hashlib.sha256(data).hexdigest() == reference.digest
        if not complete:
            raise _lost(reference, "is not what was stored")
        return data

    async def _why_missing(self, stream: str, reference: Reference, subject: str) -> BusError:
        """Why a chunk was not found."""
        if await self._requests.stored(stream, last=subject) is not None:
            return CopyLags(f"a copy of {stream} lacks a part of a big value that its leader has")
        return _lost(reference, f"lacks its part {subject.rpartition('.')[2]}")

    async def _opened(self, reference: Reference, chunk: bytes, place: str) -> bytes:
        if not reference.sealed:
            return chunk
        vault = self._requests.vault
        if vault is None:
            raise no_keyring(place)
        return await vault.opened(reference.run, chunk, place)


def _lost(reference: Reference, why: str) -> ValueLost:
    return ValueLost(
        f"the big value {reference.digest[:12]} of {reference.size} bytes {why}: restore the "
        f"stream {STREAM} from a backup, then retry the run"
    )
