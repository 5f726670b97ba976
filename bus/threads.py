"""Conversations that outlive runs: the entries of each thread.

An entry is the message `layby.thread.<thread>.<key>`, which is created only once, however often it
is appended; the order of a thread is that of the stream.
"""

from __future__ import annotations

from contextlib import suppress

from .errors import BusError, Conflict, Erased, Tampered
from .names import Names
from .reading import every, newest
from .requests import Requests
from .sealing import is_sealed, no_keyring
from .specs import StreamSpec
from .token import encode
from .wire import Message

STREAM = "THREADS"
_PREFIX = "layby.thread"
_TOO_MANY = 413
_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"


def stream(names: Names) -> StreamSpec:
    """The stream of all threads, which keeps everything until it is removed."""
    return StreamSpec(
        name=names.stream(STREAM),
        subjects=(names.subject(f"{_PREFIX}.>"),),
        config={"allow_direct": True},
    )


class ThreadLog:
    """Appends to and reads threads."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._names = requests.names
        self._stream = self._names.stream(STREAM)

    async def append(self, thread: str, key: str, data: bytes, run: str = "") -> None:
        """Add an entry, unless the thread has one under `key` already. Raises InvalidTicket.

        `run` is the run that adds it; if that is encrypted for a person, the entry is too.
        """
        subject = self._names.subject(f"{_PREFIX}.{encode(thread)}.{encode(key)}")
        vault = self._requests.vault
        if vault is not None:
            data = (await vault.of_thread(thread, run)).seal(data, subject)
        with suppress(Conflict):
            await self._requests.store(subject, data, {_SEQUENCE: "0"})

    async def erase(self, thread: str) -> int:
        """Remove every entry of a thread; return how many. Raises InvalidTicket, BusError."""
        if self._requests.vault is not None:
            await self._requests.vault.erase_thread(thread)
        body = {"filter": self._all(thread)}
        reply = await self._requests.api(f"STREAM.PURGE.{self._stream}", body)
        return int(reply.get("purged", 0))

    async def load(self, thread: str) -> list[bytes]:
        """Every entry of a thread that can be read, oldest first.

        Raises InvalidTicket, KeyMissing.
        """
        subjects = self._all(thread)
        try:
            found = await newest(self._requests, self._stream, [subjects])
        except BusError as error:
            if error.code != _TOO_MANY:
                raise
            found = [message async for message in every(self._requests, self._stream, subjects)]
        opened = [await self._opened(thread, message) for message in found]
        return [data for data in opened if data is not None]

    async def _opened(self, thread: str, message: Message) -> bytes | None:
        """An entry, decrypted; None where it cannot be decrypted. Raises KeyMissing."""
        place = message.headers["Nats-Subject"]
        if not is_sealed(message.data):
            return message.data
        if self._requests.vault is None:
            raise no_keyring(place)
        try:
            return await self._requests.vault.thread_entry(thread, message.data, place)
        except (Erased, Tampered):
            return None

    def _all(self, thread: str) -> str:
        """The subjects of a thread's entries."""
        return self._names.subject(f"{_PREFIX}.{encode(thread)}.*")
