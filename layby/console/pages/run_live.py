"""The page of a run while it grows: the regions that have changed, as a stream of patches.

A run that is over may be retried, from elsewhere too, so its page stays live.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ...client import NoSuchRun
from ..console import console_of
from ..login.session import session_of
from ..waterfall.look import Look
from ..waterfall.watched import WatchedRun
from .run_view import RunView, view
from .shell import fragment

_PULSE = 15.0
"""Seconds after which a comment shows that the stream lives, and the log is looked at again."""
_SHORTEST = 0.05
_SHARE = 2.0
"""Rendering costs at most one part in so many and one of the time."""


async def live(request: Request) -> Response:
    """The patches of a page, until nobody looks or the run can no longer be read."""
    client = session_of(request).client
    try:
        run = await console_of(request).watched.get(client, request.path_params["run"])
    except NoSuchRun:
        return _events(_gone())
    return _events(_stream(request, run))


def _events(events: AsyncGenerator[bytes]) -> Response:
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _gone() -> AsyncGenerator[bytes]:
    yield _event("gone", {})


async def _stream(request: Request, run: WatchedRun) -> AsyncGenerator[bytes]:
    patches = _Patches(request, run)
    run.use()
    wakes = _Wakes(request, run)
    try:
        yield b"retry: 1000\n\n"
        looked = time.monotonic()
        while not console_of(request).stopping.is_set():
            version, begun = run.version, time.monotonic()
            is_due = begun - looked >= _PULSE
            if is_due:
                looked = begun
                await run.check()
            for html in await patches.fresh(anew=is_due and not run.ended):
                yield _event("patch", {"html": html})
            if run.closed is not None or not run.messages:
                yield _event("gone", {})
                return
            took = time.monotonic() - begun
            await asyncio.sleep(max(_SHORTEST, took * _SHARE))
            if not await wakes.wait(version, _PULSE):
                yield b": live\n\n"
    finally:
        await wakes.close()
        run.leave()


class _Patches:
    """The regions as they were sent last."""

    def __init__(self, request: Request, run: WatchedRun) -> None:
        self._request = request
        self._client = session_of(request).client
        self._look = Look.of(request.query_params)
        self._run = run
        self._workers = console_of(request).workers
        self._drawn = -1
        """The version of the run that was drawn last."""
        self._sent: dict[str, str] = {}

    async def fresh(self, *, anew: bool) -> list[str]:
        """The regions that have changed; `anew`: time alone may have changed them."""
        drawn = {"nav": fragment(self._request, "nav.html", nav="runs")}
        if anew or self._drawn != self._run.version:
            self._drawn = self._run.version
            found = await view(self._client, self._run, self._look, self._workers)
            drawn |= {} if found is None else regions(self._request, found)
        changed = {name: html for name, html in drawn.items() if self._sent.get(name) != html}
        self._sent |= changed
        return [*changed.values()]


class _Wakes:
    """Wakes the stream when the run, the rail or the console's life has changed."""

    def __init__(self, request: Request, run: WatchedRun) -> None:
        self._run = run
        self._changed = asyncio.Event()
        console = console_of(request)
        self._tasks = [
            asyncio.create_task(self._counted(console.tally.changes())),
            asyncio.create_task(self._stopped(console.stopping)),
        ]

    async def _counted(self, changes: AbstractAsyncContextManager[AsyncIterator[None]]) -> None:
        async with changes as counted:
            async for _ in counted:
                self._changed.set()

    async def _stopped(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._changed.set()

    async def wait(self, version: int, within: float) -> bool:
        """Return whether something has changed within so many seconds."""
        waiting = {
            asyncio.create_task(self._run.changed_since(version)),
            asyncio.create_task(self._changed.wait()),
        }
        try:
            done, _ = await asyncio.wait(
                waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in waiting:
                task.cancel()
        self._changed.clear()
        return bool(done)

    async def close(self) -> None:
        """Listen no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def regions(request: Request, found: RunView) -> dict[str, str]:
    """The regions of a page that can change, by name."""
    names = [(name, 0) for name in found.regions()]
    names += [("block", number) for number in found.shown_blocks]
    return {
        f"{name}-{at}": fragment(request, "run_region.html", v=found, region=name, at=at)
        for name, at in names
    }


def _event(name: str, data: dict[str, str]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"
