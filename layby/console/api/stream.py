"""Server-Sent Events: streams that stay open through proxies, and end when the console stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..console import console_of
from .operation import EVENTS
from .problem import problem_of

BEAT: Final = 15.0
"""Seconds without an event after which a comment is sent."""
_COMMENT: Final = b": still here\n\n"
_RETRY: Final = b"retry: 1000\n\n"
"""Milliseconds after which a reader comes back."""
_HEADERS: Final = {"X-Accel-Buffering": "no"}


class Sse(NamedTuple):
    """One event of a stream."""

    type: str
    data: Any
    id: str = ""

    def encoded(self) -> bytes:
        """As it is sent."""
        number = f"id: {self.id}\n" if self.id else ""
        return (
            f"{number}event: {self.type}\ndata: ".encode()
            + msgspec.json.encode(self.data)
            + b"\n\n"
        )


def sse_response(request: Request, events: AsyncGenerator[Sse]) -> Response:
    """A response that streams events until they end, the reader leaves or the console stops."""
    if request.method == "HEAD":
        return Response(media_type=EVENTS)
    stopping = console_of(request).stopping
    return StreamingResponse(_sent(events, stopping), media_type=EVENTS, headers=_HEADERS)


async def _sent(events: AsyncGenerator[Sse], stopping: asyncio.Event) -> AsyncGenerator[bytes]:
    stopped = asyncio.ensure_future(stopping.wait())
    following = asyncio.ensure_future(_next(events))
    try:
        yield _RETRY
        while not stopped.done():
            await asyncio.wait(
                {following, stopped}, timeout=BEAT, return_when=asyncio.FIRST_COMPLETED
            )
            if not following.done():
                yield _COMMENT
                continue
            event = following.result()
            if event is None:
                return
            yield event.encoded()
            following = asyncio.ensure_future(_next(events))
    except Exception as error:  # noqa: BLE001  the status is sent already
        yield Sse("problem", problem_of(error)).encoded()
    finally:
        stopped.cancel()
        following.cancel()
        await asyncio.wait({following})
        if not following.cancelled():
            following.exception()  # the client is gone
        await events.aclose()


async def _next(events: AsyncGenerator[Sse]) -> Sse | None:
    return await anext(events, None)


def last_event_id(request: Request) -> str:
    """The number of the last event that a reader has; empty: none."""
    return request.headers.get("last-event-id", "")
