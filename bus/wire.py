"""A nats-py client with fast paths for publishing and for our inboxes.

nats-py spends a coroutine, a queue and a task switch on each message either way. Here a publish
appends bytes to its buffer, which is written once per turn of the event loop, and a message to one
of our inboxes is handed over as soon as it is parsed. Connecting, reconnecting, TLS, pings and
ordinary subscriptions are left to nats-py.
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

_UNSUBSCRIBE_WITHIN: Final = 2
"""Seconds that the server may take to process an unsubscribe."""
_SETTLE_WITHIN: Final = 5
"""Seconds that it may take to process what was sent: as long as any request may."""
_VERSION: Final = "NATS/1.0"
_STATUS: Final = slice(len(_VERSION) + 1, len(_VERSION) + 4)
"""Where the status code is in a header block that has one."""
_BREAK: Final = re.compile(r"[\r\n]+")
_NAME: Final = re.compile(r"[!#-9;-~]+")
_SERVER_HEADERS: Final = frozenset(
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
"""Headers that the server adds to a message read from a stream, after those of the sender."""
_STORED: Final = b"\r\nNats-Sequence: "
"""In the headers of a message read from a stream, and never in those of a status."""
_LINES: Final = 256
"""Lines read from the beginning of a header block: the sender's."""
_LAST_LINES: Final = 32
"""Lines read from the end of a longer block: the server's."""
_UNDECODABLE: Final = "backslashreplace"
"""How bytes that are not UTF-8 are shown: in plain ASCII, and different bytes differently."""


class Message:
    """A message as received; its headers are parsed on first use."""

    __slots__ = ("_block", "_headers", "data", "is_text", "reply", "subject")

    def __init__(self, subject: bytes, reply: bytes, data: bytes, block: bytes) -> None:
        self.is_text = True
        """Whether subject and reply are UTF-8; if not, their bytes are shown as `\\xff`."""
        try:
            self.subject, self.reply = subject.decode(), reply.decode()
        except UnicodeDecodeError:
            self.is_text = False
            self.subject, self.reply = _shown(subject), _shown(reply)
        self.data = data
        self._block = block
        self._headers: dict[str, str] | None = None

    @property
    def size(self) -> int:
        """The bytes of its body and its headers."""
        return len(self.data) + len(self._block)

    @property
    def status(self) -> str:
        """The status code, or an empty string for an ordinary message.

        A stored message that its sender made look like a status is an ordinary one.
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
        """The headers; a status has its text as `Description`.

        Of each name the first counts, but the last of those that the server adds, because a sender
        may forge them. In a block of hundreds of lines, those in the middle are not read.
        """
        if self._headers is None:
            self._headers = _read(self._block)
        return self._headers


InboxHandler = Callable[[Message], None]
"""Handles one message immediately; must not raise or block."""


class Wire(Client):
    """A nats-py client with fast paths in and out."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = MessageParser(self, self._take, self._process_msg)
        self._handlers: dict[int, InboxHandler] = {}
        self._write_scheduled = False
        """Whether pending frames are written at the end of this turn of the event loop."""

    async def open_inbox(self, handler: InboxHandler, below: str = "") -> Subscription:
        """Subscribe to a new inbox (and to `below` it, `.*` for instance); see `InboxHandler`."""
        subscription = await self.subscribe(self.new_inbox() + below)
        # The subject was unknown until now, so no message has come yet.
        sid = subscription._id  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._handlers[sid] = handler
        return subscription

    async def close_inbox(self, subscription: Subscription) -> None:
        """Unsubscribe. What the server sent before it processed that is still handed over."""
        sid = subscription._id  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        handler = self._handlers.get(sid)
        try:
            with suppress(nats_errors.Error, TimeoutError):
                await subscription.unsubscribe()
                if handler is not None:
                    self._handlers[sid] = handler
                await self.flush(_UNSUBSCRIBE_WITHIN)
        finally:
            self._handlers.pop(sid, None)

    async def settle(self) -> None:
        """Wait until the server has processed all that was sent, subscriptions for instance.

        Raises:
            NotConnected: it does not answer.
        """
        try:
            await self.flush(_SETTLE_WITHIN)
        except TimeoutError:
            raise NotConnected("the server does not answer: nothing was sent") from None

    def send(
        self,
        subject: str,
        data: bytes = b"",
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Publish. Everything sent in one turn of the event loop is written together, in order.

        Raises:
            NotConnected: nothing was sent.
            PayloadTooLarge: it is larger than the server accepts.
            NoSubject: nothing can be published on this subject.
            BusError: the name of a header is not valid, or a text has no UTF-8 form.
        """
        if self._status != Client.CONNECTED:
            raise NotConnected(f"cannot publish to {subject!r}: there is no connection now")
        if subject.split() != [subject] or (reply and reply.split() != [reply]):
            # White space would end the subject, and let a caller write commands of the protocol.
            raise NoSubject(f"{subject!r} is not a subject: it is empty or contains white space")
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
        if not self._write_scheduled:
            self._write_scheduled = True
            asyncio.get_running_loop().call_soon(self._write_through)

    def _write_through(self) -> None:
        """Write pending frames: nats-py's flusher is slower, and may end with its connection."""
        self._write_scheduled = False
        if self._transport is not None and self._pending and self.is_connected:
            self._transport.writelines(self._pending)
            self._pending = []
            self._pending_data_size = 0

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        """Ping after pending frames: nats-py's ping overtakes them, and `flush` relies on it."""
        self._write_through()
        await super()._send_ping(future)

    async def _process_pong(self) -> None:
        """Take a pong even if its waiter has given up: nats-py would stop reading."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    def _take(self, sid: int, subject: bytes, reply: bytes, data: bytes, block: bytes) -> bool:
        """Hand a message to the handler of its inbox; False when it is not for one of ours."""
        handler = self._handlers.get(sid)
        if handler is None:
            return False
        try:
            handler(Message(subject, reply, data, block))
        except Exception:  # noqa: BLE001  or the client would stop reading
            _log.exception("connection.taker_failed subject=%r", subject)
        return True

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """Parse the headers of an ordinary subscription's message: nats-py's parser may raise."""
        return _read(headers) or None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """Make an ordinary subscription's message from bytes that may not be text."""
        shown: Msg = super()._build_message(
            sid, _shown(subject).encode(), _shown(reply).encode(), data, headers
        )
        return shown

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._handlers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)


def _block(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent. Line breaks in values become spaces, or they would end them."""
    lines = [f"{_checked(name)}: {value}\r\n" for name, value in headers.items()]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        text = "".join(_BREAK.sub(" ", line[:-2]) + "\r\n" for line in lines)
    return _encoded(f"{_VERSION}\r\n{text}\r\n")


def _line(subject: str, reply: str) -> bytes:
    """The subject and the reply subject, as the protocol's line has them."""
    return _encoded(f"{subject} {reply}" if reply else subject)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BusError(f"{text[:200]!r} cannot be sent: it has no UTF-8 form") from None


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", _UNDECODABLE)


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
        if colon and (name in _SERVER_HEADERS or name not in found):
            found[name] = value.strip()
    status, _, words = first.removeprefix(_VERSION).strip().partition(" ")
    if status:
        found.update(Status=status, Description=words)
    return found
