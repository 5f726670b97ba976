"""The dead-letter stream: messages that could not be handled, with the reason and their origin."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from .errors import BusError
from .mailbox import Delivery
from .reading import every, sequence
from .requests import Requests

STREAM = "DEAD"
EVENT_ID = "Layby-Event-Id"
"""Header of a dead-lettered event: the id with which it starts its run.

Events that an earlier release republished carry it."""
_RESERVED = ("$", "_", "layby.")
"""First characters of subjects on which the server or a worker takes commands."""
_SHOWN = 64 * 1024
_LONGEST = 4_000
"""Characters of a reason, which may quote the message."""
_PAGE = 100


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message that could not be handled."""

    reason: str
    subject: str
    mailbox: str
    stream: str = ""
    seq: int
    """Its sequence in the stream it came from, which may still hold the whole message."""
    at: float
    size: int
    body: str
    """The payload as text, cut after 64 KiB; bytes that are not UTF-8 are replaced."""
    num_delivered: int = 1
    is_text: bool = True
    """Whether its subject was text; if not, `subject` shows its bytes."""
    event_id: str = ""
    """The sender's id of the event, which must stay the same when it is sent again."""

    def is_about(self, subject: str, data: bytes) -> bool:
        """Whether it is about this message."""
        shown = data[:_SHOWN].decode("utf-8", "replace")
        return (self.subject, self.size, self.body) == (subject, len(data), shown)


class OriginalMessage(NamedTuple):
    """The original message of a letter; for an event, everything that its run needs."""

    subject: str
    data: bytes
    headers: dict[str, str]
    """The id of the event."""
    seq: int
    """Its sequence in the stream it came from."""
    at: float


class DeadLetters:
    """Stores dead letters, and sends their messages again."""

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

    async def newest(self, count: int) -> Sequence[tuple[int, DeadLetter]]:
        """The newest letters with their numbers, newest first, at most `count` of them."""
        info = await self._requests.api(f"STREAM.INFO.{self._stream}")
        first, end = info["state"]["first_seq"], info["state"]["last_seq"] + 1
        found: list[tuple[int, DeadLetter]] = []
        width = count
        while end > first and len(found) < count:
            start = max(first, end - width)
            found = [*await self._between(start, end), *found]
            end, width = start, width * 4  # letters that were dropped leave gaps
        return found[-count:][::-1]

    async def _between(self, start: int, end: int) -> Sequence[tuple[int, DeadLetter]]:
        found: list[tuple[int, DeadLetter]] = []
        subject = self._names.subject("dead.>")
        async for message in every(self._requests, self._stream, subject, _PAGE, first=start):
            if sequence(message) >= end:
                break
            if (letter := read(message.data)) is not None:
                found.append((sequence(message), letter))
        return found

    async def get(self, number: int) -> DeadLetter:
        """One letter. Raises NoSuchLetter."""
        message = await self._stored(self._stream, number)
        own = message is not None and self._names.own(message.subject).startswith("dead.")
        letter = read(message.data) if message is not None and own else None
        if letter is None:
            raise NoSuchLetter(f"there is no dead letter {number}: `layby dead list` shows them")
        return letter

    async def resend(self, number: int) -> int:
        """Publish a letter's message again, and return its sequence; the letter stays.

        Only for messages on Layby's own subjects. Events have other readers too: see `original`.

        Raises:
            NoSuchLetter: there is no letter with this number.
            CannotRetry: the message is mail of a run that has ended, is no longer complete, or is
                on a subject that takes no messages.
        """
        given = await self.original(number)
        headers = {"Nats-Msg-Id": f"dead-{number}@{given.at}"}
        ack = await self._requests.store(given.subject, given.data, headers)
        return ack.seq

    async def original(self, number: int) -> OriginalMessage:
        """The original message of a letter.

        Raises:
            NoSuchLetter: there is no letter with this number.
            CannotRetry: see `resend`.
        """
        letter = await self.get(number)
        if self._names.own(letter.subject).startswith(_RESERVED):
            raise CannotRetry(
                f"letter {number} is for the reserved subject {letter.subject!r}, to which nothing "
                "is sent again: drop it"
            )
        if self._names.own(letter.subject).startswith("to."):
            raise CannotRetry(
                f"letter {number} is mail of a run, and the run has failed: start its ticket again"
            )
        if not letter.is_text:
            raise CannotRetry(f"the subject of letter {number} is not text: drop the letter")
        origin = await self._stored(letter.stream, letter.seq)
        if origin is not None and not letter.is_about(origin.subject, origin.data):
            origin = None  # the stream was recreated, and has another message at this sequence
        complete = letter.size <= _SHOWN and "\ufffd" not in letter.body
        if origin is None and not complete:
            raise CannotRetry(
                f"the message of letter {number} is gone from the stream {letter.stream}, and the "
                "letter has only a part of it"
            )
        data = origin.data if origin is not None else letter.body.encode()
        event_id = letter.event_id or (origin.event_id if origin is not None else "")
        # Without an id of its own its position is its id, so that it starts no run twice.
        headers = {EVENT_ID: event_id or f"{letter.seq}@{letter.at}"}
        return OriginalMessage(letter.subject, data, headers, letter.seq, letter.at)

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
    """The sender's id of the event; empty where it has none."""


def _event_id(block: bytes) -> str:
    """The id of an event in a message's headers."""
    lines = [line.partition(":") for line in block.decode("utf-8", "replace").splitlines()]
    found = {name: value.strip() for name, _, value in reversed(lines)}
    return found.get(EVENT_ID) or found.get("Nats-Msg-Id", "")


class NoSuchLetter(BusError):
    """There is no dead letter with this number."""


class CannotRetry(BusError):
    """A dead letter's message cannot be published again."""


_decode = msgspec.json.Decoder(DeadLetter).decode


def read(data: bytes) -> DeadLetter | None:
    """Decode a letter; None for a message that Layby did not write."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_GONE = frozenset({10037, 10059, 10057})
"""No message found, no stream found, sequence deleted."""
