"""Reads of more than one message from a stream, in as many answers as the server needs."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from .requests import Requests
from .wire import Message

_PAGE = 256
_AT_ONCE = 16 * 1024 * 1024
"""Bytes of one answer. Left to itself the server sends as many as it holds for a client, and cuts
off a client that takes a moment to read them."""


async def newest(requests: Requests, stream: str, subjects: list[str]) -> list[Message]:
    """The newest message of each subject, wildcards allowed, in the order of the stream.

    Raises:
        BusError: of code 413 when more than the server's 1,024 subjects match.
    """
    body: dict[str, object] = {"multi_last": subjects, "max_bytes": _AT_ONCE}
    found: list[Message] = []
    while messages := await requests.direct_get(stream, body):
        page = [message for message in messages if not message.status]
        found += page
        end = messages[-1].headers
        if not page or int(end.get("Nats-Num-Pending", "0")) == 0:
            break
        body = {
            "multi_last": subjects,
            "max_bytes": _AT_ONCE,
            "seq": sequence(page[-1]) + 1,
            "up_to_seq": int(end["Nats-UpTo-Sequence"]),
        }
    return found


async def every(
    requests: Requests, stream: str, subject: str, page: int = _PAGE
) -> AsyncGenerator[Message]:
    """Every message on `subject` in the order of the stream, read `page` at a time."""
    body: dict[str, object] = {"seq": 1, "batch": page, "next_by_subj": subject}
    body["max_bytes"] = _AT_ONCE
    while messages := await requests.direct_get(stream, body):
        found = [message for message in messages if not message.status]
        for message in found:
            yield message
        if not found:
            return
        body["seq"] = sequence(found[-1]) + 1


def sequence(message: Message) -> int:
    """A read message's sequence in its stream."""
    return int(message.headers["Nats-Sequence"])
