"""The live parts of a page together with those of the rail, which every page has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from ..console import Console, console_of
from ..live import Changes, Part, Parts
from ..login.session import session_of
from .shell import fragment


def stream(
    request: Request,
    nav: str,
    parts: Callable[[], Awaitable[Parts]] | None = None,
    *,
    key: Hashable = (),
    changes: Changes | None = None,
) -> StreamingResponse:
    """The stream of patches of a page.

    Args:
        request: Who asks; what is rendered is shared by all with the same rights, so it must hold
            nothing of this session alone, such as its form token.
        nav: The page's place in the rail.
        parts: Says what there is to show now; it must not wait for anything but the catalogue.
        key: What the page shows besides its name: its query, for instance.
        changes: Wakes the page; None: what changes in the catalogue.
    """
    console, rights = console_of(request), session_of(request).rights
    wakes = changes or (console.catalogue.changes if parts else None)
    return console.live.stream(
        (nav, rights, key), partial(_all, request, nav, parts), partial(_woken, console, wakes)
    )


async def _all(
    request: Request, nav: str, parts: Callable[[], Awaitable[Parts]] | None
) -> dict[str, Any]:
    tally = console_of(request).tally.seen_by(session_of(request).rights)
    rail = Part(state=tally, html=partial(fragment, request, "nav.html", nav=nav))
    return {**(await parts() if parts else {}), "nav": rail}


@contextlib.asynccontextmanager
async def _woken(console: Console, page: Changes | None) -> AsyncGenerator[AsyncIterator[Any]]:
    """Yields when the page or the rail may have changed."""
    woken = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        wakes = [console.tally.changes, *([page] if page else [])]
        sources = [await stack.enter_async_context(each()) for each in wakes]
        tasks = [asyncio.create_task(_follow(source, woken)) for source in sources]
        try:
            yield _wakes(woken, tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(source: AsyncIterator[Any], woken: asyncio.Event) -> None:
    async for _ in source:
        woken.set()


async def _wakes(woken: asyncio.Event, tasks: list[asyncio.Task[None]]) -> AsyncIterator[None]:
    while True:
        waiting = asyncio.create_task(woken.wait())
        try:
            await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if ended := [task for task in tasks if task.done()]:
            ended[0].result()
            return
        woken.clear()
        yield


async def _alone(request: Request) -> StreamingResponse:
    """The rail of a page without other live parts."""
    return stream(request, request.query_params.get("nav", ""))


routes = [Route("/live", _alone)]
