"""The client's connection, used sparingly.

nats-py spends a coroutine, a queue and a task switch on each message either way. Here a frame is
bytes put into its buffer, written with all others of the same turn of the event loop; and a message
that comes to one of our inboxes is handed over where it is parsed. Connecting, reconnecting, TLS,
pings and ordinary subscriptions stay nats-py's.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from .errors import BusError, NoSubject, NotConnected, PayloadTooLarge
from .parser import MessageParser

_log = logging.getLogger(__name__)

_HEARD_WITHIN: Final = 2
"""Seconds that the server may take to hear that an inbox is closed."""
_VERSION: Final = "NATS/1.0"
_STATUS: Final = slice(len(_VERSION) + 1, len(_VERSION) + 4)
"""Where the status code stands in a header block that has one."""
_BREAK: Final = re.compile(r"[\r\n]+")
_NAME: Final = re.compile(r"[!#-9;-~]+")
_SERVERS: Final = frozenset(
    {
        "Nats-Last-Sequence",
        "Nats-Num-Pending",
        "Nats-Sequence",
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Time-Stamp",
        "Nats-UpTo-Sequence",
    }
)
"""What a server that reads from a stream adds, after the headers that the sender gave."""
_STORED: Final = b"\r\nNats-Sequence: "
"""What a message read from a stream has, and no status of a server."""
_LINES: Final = 256
"""Lines of a header block that are read from its beginning: the sender's."""
_LAST_LINES: Final = 32
"""Lines that are read from the end of a longer one: the server's."""
_NO_TEXT: Final = "backslashreplace"
"""How bytes are shown that are no UTF-8: different bytes differently, and as plain ASCII."""


class Message:
    """A message as it came; its headers are read when somebody asks for them."""

    __slots__ = ("_block", "_headers", "data", "is_text", "reply", "subject")

    def __init__(self, subject: bytes, reply: bytes, data: bytes, block: bytes) -> None:
        self.is_text = True
        """Whether subject and reply are UTF-8; if not, they show their bytes as `\\xff`."""
        try:
            self.subject, self.reply = subject.decode(), reply.decode()
        except UnicodeDecodeError:
            self.is_text = False
            self.subject, self.reply = _shown(subject), _shown(reply)
        self.data = data
        self._block = block
        self._headers: dict[str, str] | None = None

    @property
    def status(self) -> str:
        """The status code of a message that is one, else an empty string.

        A stored message whose sender made it look like a status is none.
        """
        block = self._block
        if not block or block[_STATUS.start - 1 : _STATUS.start] != b" ":
            return ""
        if self.reply or _STORED in block:
            return ""
        code = block[_STATUS]
        return code.decode() if code.isdigit() else ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers; a status has its words as `Description`.

        The first of each name, but the last of those that the server adds: a sender may forge them.
        Of a block with hundreds of lines, those in the middle are not read.
        """
        if self._headers is None:
            self._headers = _read(self._block)
        return self._headers


Taker = Callable[[Message], None]
"""Takes one message at once; must not raise or block."""


class Wire(Client):
    """A connection of nats-py with short ways in and out."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = MessageParser(self, self._take, self._process_msg)
        self._takers: dict[int, Taker] = {}
        self._due = False
        """Whether what is pending is written at the end of this turn of the event loop."""

    async def open_inbox(self, take: Taker, below: str = "") -> Subscription:
        """Subscribe to a new inbox (and to `below` it, `.*` for instance); see `Taker`."""
        subscription = await self.subscribe(self.new_inbox() + below)
        # Nobody knows the subject before, so nothing has come yet.
        self._takers[subscription._id] = take  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return subscription

    async def close_inbox(self, subscription: Subscription) -> None:
        """Unsubscribe. What the server had sent before it heard of that is still handed over."""
        sid = subscription._id  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        take = self._takers.get(sid)
        try:
            with suppress(nats_errors.Error, TimeoutError):
                await subscription.unsubscribe()
                if take is not None:
                    self._takers[sid] = take
                await self.flush(_HEARD_WITHIN)
        finally:
            self._takers.pop(sid, None)

    def send(
        self,
        subject: str,
        data: bytes = b"",
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Publish. What is sent in one turn of the event loop leaves together, in its order.

        Raises:
            NotConnected: nothing was sent.
            PayloadTooLarge: it is more than the server takes.
            NoSubject: nothing can be sent to such a subject.
        BusError: a header has no name, or what is to be sent no UTF-8 form.
        """
        if self._status != Client.CONNECTED:
            raise NotConnected(f"cannot publish to {subject!r}: there is no connection now")
        if subject.split() != [subject] or (reply and reply.split() != [reply]):
            # It would end early, and let a caller write commands of the protocol.
            raise NoSubject(f"{subject!r} is no subject: it is empty or has white space in it")
        to, block = _line(subject, reply), _block(headers) if headers else b""
        size = len(block) + len(data)
        if size > self._max_payload:
            raise PayloadTooLarge(
                f"{size} bytes for {subject!r} are more than the server's max_payload of "
                f"{self._max_payload}: send less, or raise max_payload in its configuration"
            )
        if block:
            line = b"HPUB %b %d %d\r\n" % (to, len(block), size)
        else:
            line = b"PUB %b %d\r\n" % (to, size)
        self._write(b"".join((line, block, data, b"\r\n")))

    def _write(self, frame: bytes) -> None:
        self._pending.append(frame)
        self._pending_data_size += len(frame)
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._write_through)

    def _write_through(self) -> None:
        """Write what is there: nats-py's flusher is slower, and may not survive a connection."""
        self._due = False
        if self._transport is not None and self._pending and self.is_connected:
            self._transport.writelines(self._pending)
            self._pending = []
            self._pending_data_size = 0

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        """Ping, after what was sent before: nats-py's ping overtakes it, and `flush` is one."""
        self._write_through()
        await super()._send_ping(future)

    def _take(self, sid: int, subject: bytes, reply: bytes, data: bytes, block: bytes) -> bool:
        """Hand a message to the inbox it came to; False when it came to none of ours."""
        take = self._takers.get(sid)
        if take is None:
            return False
        try:
            take(Message(subject, reply, data, block))
        except Exception:  # noqa: BLE001  or the client would stop reading
            _log.exception("connection.taker_failed subject=%r", subject)
        return True

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """Read the headers of an ordinary subscription's message: nats-py's reader may raise."""
        return _read(headers) or None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """Make an ordinary subscription's message, of bytes that may be no text."""
        shown: Msg = super()._build_message(
            sid, _shown(subject).encode(), _shown(reply).encode(), data, headers
        )
        return shown

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._takers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)


def _block(headers: Mapping[str, str]) -> bytes:
    """Headers as they travel. Line breaks in values become blanks, or they would end the value."""
    lines = [f"{_checked(name)}: {value}\r\n" for name, value in headers.items()]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        text = "".join(_BREAK.sub(" ", line[:-2]) + "\r\n" for line in lines)
    return _encoded(f"{_VERSION}\r\n{text}\r\n")


def _line(subject: str, reply: str) -> bytes:
    """Where a message goes, as its line says it."""
    return _encoded(f"{subject} {reply}" if reply else subject)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BusError(f"{text[:200]!r} cannot be sent: it has no UTF-8 form") from None


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", _NO_TEXT)


@lru_cache(maxsize=64)
def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BusError(f"{name!r} cannot be the name of a header")
    return name


def _read(block: bytes) -> dict[str, str]:
    if not block:
        return {}
    first, *lines = _shown(block).split("\r\n", _LINES)
    if len(lines) == _LINES:
        lines[-1:] = lines[-1].rsplit("\r\n", _LAST_LINES)[1:]
    found: dict[str, Any] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and (name in _SERVERS or name not in found):
            found[name] = value.strip()
    status, _, words = first.removeprefix(_VERSION).strip().partition(" ")
    if status:
        found.update(Status=status, Description=words)
    return found
