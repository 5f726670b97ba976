"""Requests to JetStream: acknowledged publishes, reads of streams, calls of its API."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from .api_subject import API
from .errors import (
    BusError,
    StreamMissing,
    class_for,
)
from .names import Names
from .reply_inbox import ReplyInbox
from .sealing import Sealing
from .waiter import Accept
from .wire import Message, Wire

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


class Requests(ReplyInbox):
    """Stores messages in streams, reads them there, and calls the JetStream API."""

    def __init__(self, nc: Wire, names: Names | None = None) -> None:
        super().__init__(nc)
        self.names = names or Names()
        """The names of the app's streams and subjects."""
        self.confirm_within = 5.0
        """Seconds that `store` waits for an acknowledgement unless it gets a timeout."""
        self.vault: Sealing | None = None
        """Encrypts and decrypts payloads; None: there is no keyring here."""

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


def _refusal(what: str, error: _ApiError) -> BusError:
    reason = error.description or "refused"
    return class_for(error.err_code)(f"{what}: {reason}", code=error.err_code)
