"""What a form posted, and the bytes of any other body: read once, bounded, by the guard."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

LIMIT: Final = 1 << 20
"""The largest body, in bytes."""
FIELDS: Final = 20_000
"""The most fields of one form."""
WITHIN: Final = 30.0
"""Seconds in which a body must have arrived."""
FORM: Final = "application/x-www-form-urlencoded"

Posted = ImmutableMultiDict[str, str]
"""The fields of a form in their order: `posted(request)["choice"]`, `.get("choice", "")`,
`.getlist("choice")`, `.multi_items()`."""


def posted(request: Request) -> Posted:
    """What the form of this request holds, without its token; empty if it holds no form."""
    found: Posted | None = getattr(request.state, "posted", None)
    return found if found is not None else Posted()


async def body(request: Request) -> bytes:
    """The whole body.

    Raises:
        HTTPException: it is too large (413), or did not arrive (408).
    """
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LIMIT:
        raise HTTPException(413, _TOO_LARGE)
    try:
        async with asyncio.timeout(WITHIN):
            return await _all_of(request)
    except TimeoutError:
        raise HTTPException(408, "The request did not arrive whole. Send it again.") from None


async def _all_of(request: Request) -> bytes:
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > LIMIT:
            raise HTTPException(413, _TOO_LARGE)
    return bytes(found)


_TOO_LARGE: Final = f"That is too large: the console takes {LIMIT >> 20} MiB at once."


def fields(data: bytes) -> Posted:
    """The fields of an urlencoded form.

    Raises:
        HTTPException: it is not UTF-8, or has too many fields (400).
    """
    try:
        pairs = parse_qsl(
            data.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS
        )
    except ValueError:  # a UnicodeDecodeError is one
        raise HTTPException(400, "The form cannot be read: it is not UTF-8.") from None
    return Posted(pairs)


def again(data: bytes, receive: Receive) -> Receive:
    """`receive` with a body that was read before."""
    left = [data]

    async def receiving() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return receiving
