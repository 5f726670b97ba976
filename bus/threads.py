"""Conversations that outlive runs: what was said under a thread, each thing once.

An entry is the message `layby.thread.<thread>.<key>`, created once however often it is appended;
the order of a thread is that of the stream.
"""

from __future__ import annotations

from contextlib import suppress

from .errors import BusError, Conflict
from .names import Names
from .reading import every, newest
from .requests import Requests
from .token import encode
from .topology import StreamSpec

STREAM = "THREADS"
_PREFIX = "layby.thread"
_TOO_MANY = 413
_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"


def stream(names: Names) -> StreamSpec:
    """The stream of all threads, which forgets nothing by itself."""
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

    async def append(self, thread: str, key: str, data: bytes) -> None:
        """Add an entry, unless the thread has one under `key` already. Raises InvalidTicket."""
        subject = self._names.subject(f"{_PREFIX}.{encode(thread)}.{encode(key)}")
        with suppress(Conflict):
            await self._requests.store(subject, data, {_SEQUENCE: "0"})

    async def erase(self, thread: str) -> int:
        """Remove every entry of a thread; how many there were. Raises InvalidTicket, BusError."""
        body = {"filter": self._all(thread)}
        reply = await self._requests.api(f"STREAM.PURGE.{self._stream}", body)
        return int(reply.get("purged", 0))

    async def load(self, thread: str) -> list[bytes]:
        """Every entry of a thread, oldest first. Raises InvalidTicket."""
        subjects = self._all(thread)
        try:
            found = await newest(self._requests, self._stream, [subjects])
        except BusError as error:
            if error.code != _TOO_MANY:
                raise
            found = [message async for message in every(self._requests, self._stream, subjects)]
        return [message.data for message in found]

    def _all(self, thread: str) -> str:
        """The subjects of a thread's entries."""
        return self._names.subject(f"{_PREFIX}.{encode(thread)}.*")
