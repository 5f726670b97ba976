"""Requests and acknowledged publishes over one inbox, without a task or a timer per message."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from .errors import (
    BusError,
    PermissionDenied,
    PublishUnconfirmed,
    StreamMissing,
    class_for,
)
from .names import Names
from .reply_times import ReplyTimes
from .sealing import Sealing
from .waiter import Accept, Waiter
from .wire import Message, Wire

API = "$JS.API."
"""Prefix of the subjects of the JetStream API."""
TRAIL_API = "$TRAIL."
"""Prefix of the same subjects for the account of the audit trail."""
_SWEEP = 0.1
_LONGEST_SILENCE = 1.0
"""Seconds of silence after which a read is sent again at the latest; see `ReplyTimes`.
While a stream has no leader, nobody replies to what only leaders answer; and a server that hangs
may be chosen to answer other reads, several times in a row."""
_READS = ("STREAM.MSG.GET.", "STREAM.INFO.", "CONSUMER.INFO.")
"""Calls of the API that change nothing."""
_END_OF_BATCH = "204"
_NO_RESPONDERS = "503"
_NO_MESSAGE = 10037


class PubAck(msgspec.Struct, frozen=True):
    """A stream's acknowledgement that it has stored a message."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False


class Stored(NamedTuple):
    """A message in a stream."""

    subject: str
    seq: int
    data: bytes
    at: float
    """When it was stored, Unix seconds by the server's clock."""


class _ApiError(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _AckReply(PubAck, frozen=True):
    error: _ApiError | None = None


_decode_ack = msgspec.json.Decoder(_AckReply).decode


def _single(future: asyncio.Future[Any], msg: Message) -> bool:
    if not future.done():
        future.set_result(msg)
    return True


def _batch() -> Accept:
    """Collects the replies up to one with a status, which may be the only one."""
    found: list[Message] = []

    def accept(future: asyncio.Future[Any], msg: Message) -> bool:
        status = msg.status
        found.append(msg)
        if status and not future.done():
            future.set_result(found)
        return bool(status)

    return accept


class Requests:
    """Sends requests and waits for their replies on one shared inbox subscription.

    A lost connection immediately fails every open request with `PublishUnconfirmed`: whether a
    message was stored is then unknown, and the caller reads the stream to find out.
    """

    def __init__(self, nc: Wire, names: Names | None = None) -> None:
        self.names = names or Names()
        """The names of the app's streams and subjects."""
        self.confirm_within = 5.0
        """Seconds that `store` waits for an acknowledgement unless it gets a timeout."""
        self.vault: Sealing | None = None
        """Encrypts and decrypts payloads; None: there is no keyring here."""
        self.nc = nc
        """The connection."""
        self._inbox = ""
        self._inbox_denied: PermissionDenied | None = None
        """Why no reply can come; None: replies can come."""
        self._tokens = itertools.count()
        self._reply_times = ReplyTimes()
        self._open: dict[int, Waiter] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Subscribe to the inbox."""
        inbox = await self.nc.open_inbox(self._on_reply, below=".*")
        self._inbox = inbox.subject.removesuffix("*")
        self._sweeper = self._loop.create_task(self._sweep(), name="requests.sweep")

    async def stop(self) -> None:
        """Fail open requests and stop the sweeper."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            # A plain `await` could not tell its cancellation from ours.
            await asyncio.wait({self._sweeper})
        self.fail_all("the connection is closing")

    def fail_all(self, why: str) -> None:
        """Fail every open request, because the connection is gone."""
        waiters, self._open = list(self._open.values()), {}
        for waiter in waiters:
            waiter.fail(PublishUnconfirmed(f"no reply from {waiter.subject!r}: {why}"))
        self._inbox_denied = None  # the next connection may have other permissions

    def fail_denied(self, error: PermissionDenied) -> None:
        """Fail open requests on a refused subject: the server does not reply to them.

        If the refused subject is our inbox, no request can get a reply.
        """
        if self._inbox and error.subject.lower().startswith(self._inbox.lower()):
            self._inbox_denied = error
            for waiter in list(self._open.values()):
                waiter.fail(error)
            return
        for waiter in list(self._open.values()):
            subject = waiter.subject
            # The client reports the subject in lower case, and after any mapping of the account.
            if error.subject.lower() in {subject.lower(), _mapped(subject).lower()}:
                words = str(error).replace(error.subject, subject)
                waiter.fail(PermissionDenied(words, subject=subject))

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> Message:
        """Send one request and return the reply.

        Raises:
            NotConnected: nothing was sent.
            PublishUnconfirmed: sent, but no reply came in time.
            PermissionDenied: this user may not use the subject.
            PayloadTooLarge: the server's limit is below the size of `data`.
        """
        if self._inbox_denied is not None:
            raise self._inbox_denied
        token = next(self._tokens)
        future: asyncio.Future[Message] = self._loop.create_future()
        self._open[token] = Waiter(subject, future, self._loop.time() + timeout, _single)
        try:
            self.nc.send(subject, data, f"{self._inbox}{token}", headers)
            return await future
        finally:
            self._open.pop(token, None)

    async def read(
        self,
        subject: str,
        data: bytes = b"",
        *,
        timeout: float = 5.0,  # noqa: ASYNC109
        accept: Callable[[], Accept] = lambda: _single,
    ) -> Any:
        """Send a request that changes nothing, and send it again while nothing comes.

        Each attempt has its own replies, and `accept` makes what handles them; the first attempt
        that is complete counts. Raises what `request` raises.
        """
        if self._inbox_denied is not None:
            raise self._inbox_denied
        future: asyncio.Future[Any] = self._loop.create_future()
        deadline = self._loop.time() + timeout
        tokens: list[int] = []

        def send() -> None:
            token = next(self._tokens)
            tokens.append(token)
            waiter = self._open[token] = Waiter(subject, future, deadline, accept())
            pause = min(_LONGEST_SILENCE, self._reply_times.patience * 2 ** len(tokens) / 2)
            waiter.sent_at = self._loop.time()
            waiter.again, waiter.ask_at = send, waiter.sent_at + pause
            self.nc.send(subject, data, f"{self._inbox}{token}")

        try:
            send()
            return await future
        finally:
            for token in tokens:
                self._open.pop(token, None)

    async def publish(
        self,
        subject: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        reply: str = "",
    ) -> None:
        """Publish without waiting for a reply. Raises NotConnected, PayloadTooLarge."""
        self.nc.send(subject, data, reply, headers)

    async def store(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> PubAck:
        """Publish to the stream that covers `subject`; return when the stream acknowledges it.

        Raises:
            Conflict: an expectation in the headers does not hold.
            StreamMissing: no stream covers the subject.
            PayloadTooLarge: it is larger than the stream accepts.
            BusError: the stream refused for another reason.
        """
        within = self.confirm_within if timeout is None else timeout
        msg = await self.request(subject, data, headers, timeout=within)
        if not msg.data:
            if msg.status == _NO_RESPONDERS:
                raise StreamMissing(
                    f"no stream covers the subject {subject!r}: "
                    "provision the app first (`layby provision APP`), or check the spelling"
                )
            raise BusError(f"the reply to {subject!r} is not an acknowledgement")
        try:
            ack = _decode_ack(msg.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise BusError(f"the reply to {subject!r} is not from a stream") from None
        if ack.error is None:
            return ack
        raise _refusal(repr(subject), ack.error)

    async def api(self, verb: str, body: Any = None, *, timeout: float = 5.0) -> dict[str, Any]:  # noqa: ASYNC109
        """Call the JetStream API, `$JS.API.<verb>`. Raises BusError with the server's reason."""
        return await self.api_at(API, verb, body, within=timeout)

    async def api_at(
        self, prefix: str, verb: str, body: Any = None, *, within: float = 5.0
    ) -> dict[str, Any]:
        """Like `api`, for another domain or account, whose subjects begin with `prefix`."""
        data = b"" if body is None else msgspec.json.encode(body)
        send = self.read if verb.startswith(_READS) else self.request
        msg: Message = await send(f"{prefix}{verb}", data, timeout=within)
        if msg.status == _NO_RESPONDERS:
            raise BusError("the server has no JetStream: enable it (`jetstream {}`)", code=503)
        reply: dict[str, Any] = msgspec.json.decode(msg.data)
        if error := reply.get("error"):
            raise _refusal(verb, msgspec.convert(error, _ApiError))
        return reply

    async def stored(
        self, stream: str, *, seq: int | None = None, last: str | None = None
    ) -> Stored | None:
        """A message by its sequence, or the last of a subject, read from the stream's leader.

        For decisions that must not rest on a lagging copy. None when there is no such message.
        """
        return await self.find(stream, {"seq": seq} if last is None else {"last_by_subj": last})

    async def find(self, stream: str, body: dict[str, Any]) -> Stored | None:
        """The message that `body` asks the leader of `stream` for; None when there is none."""
        try:
            reply = await self.api(f"STREAM.MSG.GET.{stream}", body)
        except BusError as error:
            if error.code != _NO_MESSAGE:
                raise
            return None
        message = reply["message"]
        return Stored(
            subject=message["subject"],
            seq=int(message["seq"]),
            data=base64.b64decode(message.get("data", "")),
            at=datetime.fromisoformat(message["time"]).timestamp(),
        )

    async def stored_at(self, stream: str, seq: int) -> float | None:
        """When a message was stored, Unix seconds by the server's clock; None if it is not there.

        It never changes, so any copy may answer; the leader is asked only where a copy lags.
        """
        body = msgspec.json.encode({"seq": seq})
        message = await self.read(f"$JS.API.DIRECT.GET.{stream}", body)
        if not message.status:
            return datetime.fromisoformat(message.headers["Nats-Time-Stamp"]).timestamp()
        found = await self.stored(stream, seq=seq)
        return None if found is None else found.at

    async def direct_get(self, stream: str, body: Any) -> list[Message]:
        """Read a batch of messages straight from a stream; empty when nothing matches.

        The last element may be the end-of-batch marker; see `Message.status`.

        Raises:
            StreamMissing: no server answers for the stream.
            BusError: the server refuses, because more than 1,024 subjects match for instance.
        """
        found: list[Message] = await self.read(
            f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(body), accept=_batch
        )
        status = found[-1].status
        if status == "404":
            return []
        if status == _NO_RESPONDERS:
            raise StreamMissing(f"no server answers for the stream {stream}", code=int(status))
        if status != _END_OF_BATCH:
            text = found[-1].headers.get("Description", "")
            raise BusError(f"direct get from {stream}: {status} {text}", code=int(status))
        return found

    def _on_reply(self, msg: Message) -> None:
        digits = msg.subject[len(self._inbox) :]
        token = int(digits) if digits.isdecimal() else -1
        waiter = self._open.get(token)
        if waiter is None:
            return
        if waiter.sent_at:
            self._reply_times.note(self._loop.time() - waiter.sent_at)
            waiter.sent_at = 0.0
        if waiter.accept(waiter.future, msg):
            self._open.pop(token, None)
            return
        now = self._loop.time()
        waiter.go_on(now)
        if waiter.again is not None:
            waiter.ask_at = now + _LONGEST_SILENCE

    def _give_up(self, late: list[int]) -> None:
        """Fail requests whose replies are late, unless another attempt gets some."""
        waiters = [self._open.pop(token) for token in late]
        going_on = {each.future for each in self._open.values()}
        for waiter in waiters:
            if waiter.future not in going_on:
                waiter.fail(PublishUnconfirmed(f"no reply from {waiter.subject!r} in time"))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            now = self._loop.time()
            if late := [token for token, each in self._open.items() if each.deadline < now]:
                self._give_up(late)
            self._ask_again(now)

    def _ask_again(self, now: float) -> None:
        for waiter in list(self._open.values()):
            if waiter.again is not None and waiter.ask_at < now and not waiter.future.done():
                again, waiter.again = waiter.again, None
                with suppress(BusError):
                    again()


def _mapped(subject: str) -> str:
    """An API subject as mapped for the audit trail, where that has an account of its own."""
    return subject.replace(API, TRAIL_API, 1) if subject.startswith(API) else subject


def _refusal(what: str, error: _ApiError) -> BusError:
    reason = error.description or "refused"
    return class_for(error.err_code)(f"{what}: {reason}", code=error.err_code)
