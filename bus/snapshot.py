"""A stream with its consumers, saved to a file and restored from it: JetStream's own snapshots.

The bytes are the server's: an archive compressed with S2, which the nats CLI writes too.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO, Final

import msgspec

from .connection import Connection
from .errors import BusError, PublishUnconfirmed, class_for
from .requests import Requests
from .wire import Message

_CHUNK: Final = 128 * 1024
_WINDOW: Final = 2 * 1024 * 1024
"""Bytes that the server sends before it waits for an acknowledgement."""
_ACKS: Final = "$JS.SNAPSHOT.ACK."
_CHUNKS: Final = "$JS.SNAPSHOT.RESTORE."
_STALLED: Final = 30.0
"""Seconds without a chunk after which a snapshot counts as broken off."""
_REBUILT_WITHIN: Final = 3_600.0
"""Seconds that the server may take to build a stream from the chunks."""
_END: Final = frozenset({"", "204"})
_ACCEPTED_WITHIN: Final = 10.0
"""Seconds that the server may take to accept a restore."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a file with a stream holds."""

    config: dict[str, Any]
    """The stream's configuration, as the server has it."""
    state: dict[str, Any]
    """How much it holds, from which sequence to which."""
    size: int
    """Bytes of the file."""
    digest: str
    """The file's SHA-256, in hex."""


async def save(
    connection: Connection,
    requests: Requests,
    stream: str,
    file: BinaryIO,
    report: Callable[[int], None],
) -> Snapshot:
    """Write a stream and its consumers to `file`, as they are at one moment soon after the call.

    `report` is called with the number of bytes of each chunk.

    Raises:
        StreamMissing: the stream does not exist.
        PermissionDenied: this user may not do this.
        PublishUnconfirmed: the server stopped sending.
        BusError: the server broke off, with its reason.
    """
    reader = _Reader(connection, stream, file, report)
    inbox = await connection.nc.open_inbox(reader.take)
    try:
        body = {"deliver_subject": inbox.subject, "chunk_size": _CHUNK, "window_size": _WINDOW}
        reply = await requests.api(f"STREAM.SNAPSHOT.{stream}", body, timeout=_STALLED)
        await reader.wait()
    finally:
        await connection.nc.close_inbox(inbox)
    return Snapshot(
        config=reply["config"], state=reply["state"], size=reader.size, digest=reader.digest
    )


class _Reader:
    """Writes the chunks of one snapshot to a file, and acknowledges each."""

    def __init__(
        self, connection: Connection, stream: str, file: BinaryIO, report: Callable[[int], None]
    ) -> None:
        self.size = 0
        self._nc = connection.nc
        self._stream = stream
        self._file = file
        self._report = report
        self._sha = hashlib.sha256()
        self._deadline: asyncio.Timeout | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def digest(self) -> str:
        return self._sha.hexdigest()

    def take(self, msg: Message) -> None:
        """Handle one chunk; an empty one is the end."""
        if self._ended.done():
            return
        try:
            if msg.data:
                self._write(msg)
            else:
                self._end(msg)
        except (OSError, BusError) as error:
            self._ended.set_exception(error)

    def _write(self, msg: Message) -> None:
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + _STALLED)
        self._file.write(msg.data)
        self._sha.update(msg.data)
        self.size += len(msg.data)
        self._report(len(msg.data))
        if msg.reply.startswith(_ACKS):  # the last chunk has none
            self._nc.send(msg.reply)

    def _end(self, msg: Message) -> None:
        status = msg.status
        if status in _END:
            self._ended.set_result(None)
            return
        why = msg.headers.get("Description", "")
        raise BusError(f"the snapshot of stream {self._stream} broke off: {status} {why}".strip())

    async def wait(self) -> None:
        """Wait for the end, as long as chunks come."""
        try:
            async with asyncio.timeout(_STALLED) as self._deadline:
                await self._ended
        except TimeoutError:
            raise PublishUnconfirmed(
                f"the snapshot of stream {self._stream} broke off: nothing came for "
                f"{_STALLED:.0f} s; look at the server, and start again"
            ) from None


async def restore(
    requests: Requests,
    config: dict[str, Any],
    state: dict[str, Any],
    chunks: AsyncIterator[bytes],
    report: Callable[[int], None],
) -> dict[str, Any]:
    """Make a stream and its consumers from the chunks of a snapshot; return the stream's info.

    It exists once this returns; if this fails, it does not.

    Raises:
        PermissionDenied: this user may not do this.
        StoreFull: there is no room for it.
        PublishUnconfirmed: no reply came, so whether the stream exists is unknown.
        BusError: the server refuses, for instance because such a stream exists, or the chunks are
            not those of a snapshot.
    """
    name: str = config["name"]
    reply = await requests.api(
        f"STREAM.RESTORE.{name}", {"config": config, "state": state}, timeout=_ACCEPTED_WITHIN
    )
    subject = str(reply.get("deliver_subject", ""))
    if not subject.startswith(f"{_CHUNKS}{name}."):
        raise BusError(f"the server names no place to send stream {name} to: {subject[:80]!r}")
    async for chunk in chunks:
        _checked(name, await requests.request(subject, chunk, timeout=_STALLED))
        report(len(chunk))
    return _checked(name, await requests.request(subject, b"", timeout=_REBUILT_WITHIN))


def _checked(stream: str, msg: Message) -> dict[str, Any]:
    """What the server replied to a chunk. Raises BusError with its reason."""
    if msg.status:
        raise BusError(f"the restore of stream {stream} broke off: {msg.status}")
    if not msg.data:
        return {}
    reply: dict[str, Any] = msgspec.json.decode(msg.data)
    error = reply.get("error")
    if error:
        code = int(error.get("err_code", 0))
        why = error.get("description", "refused")
        raise class_for(code)(f"stream {stream} cannot be restored: {why}", code=code)
    return reply
