"""The dead-letter stream: what could not be handled, with its reason and where it came from."""

from __future__ import annotations

import base64
from typing import NamedTuple

import msgspec

from .errors import BusError
from .mailbox import Delivery
from .reading import every, sequence
from .requests import Requests

STREAM = "DEAD"
EVENT_ID = "Layby-Event-Id"
"""Header of an event that is published again: the id by which it starts its run.

Its `Nats-Msg-Id` is another: under the first one the server would take it for a duplicate."""
_NEVER = ("$", "_", "layby.")
"""How subjects begin on which the server, or a worker, obeys what it is told."""
_SHOWN = 64 * 1024
_LONGEST = 4_000
"""Characters of a reason, which may quote what came."""
_PAGE = 100


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message that was given up."""

    reason: str
    subject: str
    mailbox: str
    stream: str = ""
    seq: int
    """Its sequence in the stream it came from, which may keep it whole."""
    at: float
    size: int
    body: str
    """The payload as text, cut after 64 KiB; bytes that are no UTF-8 are replaced."""
    num_delivered: int = 1
    is_text: bool = True
    """Whether its subject was text; if not, `subject` shows its bytes."""
    event_id: str = ""
    """What the sender called the event, which no later sending must change."""


class DeadLetters:
    """Gives messages up, and gives them back."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._names = requests.names
        self._stream = self._names.stream(STREAM)

    async def put(self, delivery: Delivery, mailbox: str, reason: str) -> None:
        """Store `delivery` with `reason`; the same delivery is stored once."""
        letter = DeadLetter(
            reason=reason[:_LONGEST].encode("utf-8", "backslashreplace").decode(),
            subject=delivery.subject,
            is_text=delivery.is_text,
            mailbox=mailbox,
            stream=delivery.stream,
            seq=delivery.seq,
            at=delivery.at,
            size=len(delivery.data),
            body=delivery.data[:_SHOWN].decode("utf-8", "replace"),
            num_delivered=delivery.num_delivered,
            event_id=delivery.headers.get(EVENT_ID) or delivery.headers.get("Nats-Msg-Id", ""),
        )
        headers = {"Nats-Msg-Id": f"{mailbox}.{delivery.stream}.{delivery.seq}"}
        subject = self._names.subject(f"dead.{mailbox}")
        await self._requests.store(subject, msgspec.json.encode(letter), headers)

    async def list(self) -> list[tuple[int, DeadLetter]]:
        """Every letter with its number, oldest first."""
        letters = every(self._requests, self._stream, self._names.subject("dead.>"), _PAGE)
        return [
            (sequence(message), letter)
            async for message in letters
            if (letter := read(message.data)) is not None
        ]

    async def get(self, number: int) -> DeadLetter:
        """One letter. Raises NoSuchLetter."""
        message = await self._stored(self._stream, number)
        own = message is not None and self._names.own(message.subject).startswith("dead.")
        letter = read(message.data) if message is not None and own else None
        if letter is None:
            raise NoSuchLetter(f"there is no dead letter {number}: `layby dead list` shows them")
        return letter

    async def resend(self, number: int) -> int:
        """Publish a letter's message anew, and return its sequence; the letter stays.

        Repeated, it begins nothing twice: what is published has the id that its event had or, where
        it had none, one that follows from the letter.

        Raises:
            NoSuchLetter: there is none of that number.
            CannotRetry: the message is mail of a run, which has ended, is not kept whole, or is
                none that anybody could have sent.
        """
        letter = await self.get(number)
        if self._names.own(letter.subject).startswith(_NEVER):
            raise CannotRetry(f"letter {number} is for {letter.subject!r}, where nothing is sent")
        if self._names.own(letter.subject).startswith("to."):
            raise CannotRetry(
                f"letter {number} is mail of a run, and the run has failed: start its ticket anew"
            )
        if not letter.is_text:
            raise CannotRetry(
                f"the subject of letter {number} is no text: nobody can have meant it"
            )
        origin = await self._stored(letter.stream, letter.seq)
        whole = letter.size <= _SHOWN and "\ufffd" not in letter.body
        if origin is None and not whole:
            raise CannotRetry(
                f"the message of letter {number} is gone from the stream {letter.stream}, and the "
                "letter holds a part of it only"
            )
        data = origin.data if origin is not None else letter.body.encode()
        headers = {"Nats-Msg-Id": f"dead-{number}@{letter.at}"}
        event_id = letter.event_id or (origin.event_id if origin is not None else "")
        # One without a name is known by its place, so that no run that it has begun is doubled.
        headers[EVENT_ID] = event_id or f"{letter.seq}@{letter.at}"
        ack = await self._requests.store(letter.subject, data, headers)
        return ack.seq

    async def drop(self, number: int) -> None:
        """Remove a letter. Raises NoSuchLetter."""
        await self.get(number)
        await self._requests.api(f"STREAM.MSG.DELETE.{self._stream}", {"seq": number})

    async def _stored(self, stream: str, seq: int) -> _Origin | None:
        try:
            reply = await self._requests.api(f"STREAM.MSG.GET.{stream}", {"seq": seq})
        except BusError as error:
            if error.code not in _GONE:
                raise
            return None
        message = reply["message"]
        return _Origin(
            message["subject"],
            base64.b64decode(message.get("data", "")),
            _event_id(base64.b64decode(message.get("hdrs", ""))),
        )


class _Origin(NamedTuple):
    """A message as its stream has it."""

    subject: str
    data: bytes
    event_id: str
    """What its sender called the event; empty where that is not said."""


def _event_id(block: bytes) -> str:
    """The id of an event in a message's headers."""
    lines = [line.partition(":") for line in block.decode("utf-8", "replace").splitlines()]
    found = {name: value.strip() for name, _, value in reversed(lines)}
    return found.get(EVENT_ID) or found.get("Nats-Msg-Id", "")


class NoSuchLetter(BusError):
    """There is no dead letter of that number."""


class CannotRetry(BusError):
    """A dead letter's message cannot be published anew."""


_decode = msgspec.json.Decoder(DeadLetter).decode


def read(data: bytes) -> DeadLetter | None:
    """A letter; None for what Layby did not write."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_GONE = frozenset({10037, 10059, 10057})
"""No message found, no stream found, sequence deleted."""
