"""Reads of more than one message from a stream, in as many replies as the server needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from .errors import CopyLags
from .requests import Requests
from .wire import Message

_PAGE = 256
_MAX_BYTES = 4 * 1024 * 1024
"""Bytes of one reply, give or take a message. Without a limit the server sends as much as it
buffers for a client, and disconnects a client that takes a moment to read it."""
FEW_BYTES: Final = 128 * 1024
"""The same for what outsiders store, because many such replies may be held at once."""
_READS = 40
"""Reads after which a copy that still lags behind its leader is given up."""
_PAUSE = 0.05


async def newest(requests: Requests, stream: str, subjects: list[str]) -> list[Message]:
    """The newest message of each subject, wildcards allowed, in the order of the stream.

    Raises:
        BusError: of code 413 when more than the server's 1,024 subjects match.
    """
    return [each async for each in each_newest(requests, stream, subjects)]


async def each_newest(
    requests: Requests, stream: str, subjects: list[str]
) -> AsyncGenerator[Message]:
    """What `newest` returns, with only one reply held at a time. Raises BusError."""
    body: dict[str, object] = {"multi_last": subjects, "max_bytes": _MAX_BYTES}
    while subjects and (messages := await requests.direct_get(stream, body)):
        page = [message for message in messages if not message.status]
        for message in page:
            yield message
        end = messages[-1].headers
        if not page or int(end.get("Nats-Num-Pending", "0")) == 0:
            return
        body = {
            "multi_last": subjects,
            "max_bytes": _MAX_BYTES,
            "seq": sequence(page[-1]) + 1,
            "up_to_seq": int(end["Nats-UpTo-Sequence"]),
        }


async def every(
    requests: Requests,
    stream: str,
    subject: str,
    page: int = _PAGE,
    *,
    first: int = 1,
    since: float | None = None,
    size: int = _MAX_BYTES,
) -> AsyncGenerator[Message]:
    """Messages on `subject` in the order of the stream, read `page` or `size` bytes at a time.

    From the sequence `first` on, or from what was stored at `since` (Unix seconds).
    """
    body: dict[str, object] = {"batch": page, "next_by_subj": subject, "max_bytes": size}
    if since is None:
        body["seq"] = first
    else:
        body["start_time"] = datetime.fromtimestamp(since, UTC).isoformat()
    while messages := await requests.direct_get(stream, body):
        found = [message for message in messages if not message.status]
        for message in found:
            yield message
        if not found or messages[-1].headers.get("Nats-Num-Pending") == "0":
            return
        body.pop("start_time", None)
        body["seq"] = sequence(found[-1]) + 1


async def up_to(
    requests: Requests,
    stream: str,
    subject: str,
    end: int,
    *,
    first: int = 1,
    since: float | None = None,
    size: int = _MAX_BYTES,
) -> AsyncGenerator[Message]:
    """Like `every`, up to the message with sequence `end`, which the leader has reported.

    A copy of the stream may lag behind its leader: it is read again until it has that message.

    Raises:
        CopyLags: for seconds, no copy has had what the leader has.
    """
    begin = first
    for _ in range(_READS):
        page = max(1, min(_PAGE, end - begin + 1))
        start = since if begin == first else None
        reading = every(requests, stream, subject, page, first=begin, since=start, size=size)
        async with aclosing(reading) as messages:
            async for message in messages:
                begin = sequence(message) + 1
                yield message
                if begin > end:
                    return
        if await requests.stored(stream, seq=end) is None:
            return  # it has been removed
        await asyncio.sleep(_PAUSE)
    raise CopyLags(f"no copy of {stream} has what its leader has, up to {end}")


async def backwards(
    requests: Requests, stream: str, subject: str, page: int = _PAGE
) -> AsyncGenerator[Message]:
    """Every message on `subject`, the newest first, read about `page` at a time.

    A stream has gaps where messages were replaced. A window of sequences with few messages makes
    the next one wider, so that a long gap costs only a few reads.
    """
    state = (await requests.api(f"STREAM.INFO.{stream}"))["state"]
    below, first, width = state["last_seq"] + 1, max(1, state["first_seq"]), page
    while below > first:
        begin = max(first, below - width)
        found = await _between(requests, stream, subject, begin, below)
        for message in reversed(found):
            yield message
        below = begin
        width = _width(width, len(found), page)


def _width(width: int, found: int, page: int) -> int:
    """How many sequences to read next, to find about `page` messages in them."""
    if not found:
        return width * 8
    return max(page, min(width * 8, width * page // found))


async def _between(
    requests: Requests, stream: str, subject: str, begin: int, below: int
) -> list[Message]:
    """The messages on `subject` from sequence `begin` up to `below`, oldest first."""
    body: dict[str, object] = {"next_by_subj": subject, "max_bytes": _MAX_BYTES}
    found: list[Message] = []
    while begin < below:
        body |= {"seq": begin, "batch": min(_PAGE, below - begin)}
        messages = await requests.direct_get(stream, body)
        page = [each for each in messages if not each.status and sequence(each) < below]
        found += page
        if not page or len(page) < len(messages) - 1:
            break  # the others are above `below`
        begin = sequence(page[-1]) + 1
    return found


def sequence(message: Message) -> int:
    """A read message's sequence in its stream."""
    return int(message.headers["Nats-Sequence"])


def stored_at(message: Message) -> float:
    """When the stream stored a read message, Unix seconds."""
    return datetime.fromisoformat(message.headers["Nats-Time-Stamp"]).timestamp()
