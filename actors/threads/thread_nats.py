"""Threads in JetStream: conversations need no database besides NATS."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ...bus.names import Names
from ...bus.requests import Requests
from ...bus.specs import StreamSpec
from ...bus.threads import ThreadLog, stream
from ...runtime.envelope import UNREADABLE
from ...runtime.errors import InvalidSetup
from .thread import LAST, checked_last, run_of
from .turn import Said

_PLAIN = Names()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Said]).decode


def _read(data: bytes) -> list[Said]:
    """The messages of an entry; none if Layby did not write it."""
    try:
        return _decode(data)
    except UNREADABLE:
        return []


class NatsHistory:
    """A `HistoryStore` in the stream THREADS, made by `nats_history()` and bound by each worker."""

    def __init__(self, last: int, log: ThreadLog | None = None) -> None:
        self._last = last
        self._log = log

    def streams(self, names: Names = _PLAIN) -> tuple[StreamSpec, ...]:
        """The streams that must exist on the server."""
        return (stream(names),)

    def over(self, requests: Requests) -> NatsHistory:
        """The same store, over a worker's own connection."""
        return NatsHistory(self._last, ThreadLog(requests))

    async def create_thread(self, thread: str) -> None:
        """Do nothing: the first entry creates the thread."""

    async def load(self, thread: str) -> list[Said]:
        """The latest `last` messages of a thread, oldest first."""
        found = [said for entry in await self._bound.load(thread) for said in _read(entry)]
        return found[-self._last :]

    async def append_user_message(self, thread: str, key: str, said: Said) -> None:
        """Add a user's message."""
        await self._bound.append(thread, f"{key}-user", _encode([said]), run_of(key))

    async def append_results(self, thread: str, key: str, said: Sequence[Said]) -> None:
        """Add the agents' messages."""
        await self._bound.append(thread, f"{key}-results", _encode(said), run_of(key))

    async def erase(self, thread: str) -> int:
        """Delete a thread permanently. Returns how many entries it had.

        Raises:
            PermissionDenied: the connection may not purge the stream THREADS.
        """
        return await self._bound.erase(thread)

    async def aclose(self) -> None:
        """Do nothing: the connection is the worker's."""

    @property
    def _bound(self) -> ThreadLog:
        if self._log is None:
            raise InvalidSetup("nats_history() belongs to an app: App(history=nats_history())")
        return self._log


def nats_history(*, last: int = LAST) -> NatsHistory:
    """Store threads in JetStream: `App(history=nats_history())`. Provisions the stream THREADS.

    A network gets the latest `last` messages of its thread; the stream keeps all of them.

    Raises:
        InvalidSetup: `last` is not positive.
    """
    return NatsHistory(checked_last(last))
