"""Keeps open pages up to date: parts of a page are rendered when something changes, and streamed.

Tabs that look at the same thing share one view: it renders once for all of them. A part is rendered
again only if its state has changed, and rendering takes at most half of the time, however many
views there are and however quickly things change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from starlette.responses import StreamingResponse

from ..bus.errors import LaybyError
from .spacing import Spacing

log = structlog.get_logger("layby.console")

_BEAT: Final = 15.0
"""Seconds without a patch after which a comment is sent, so that proxies keep the stream open."""
_SPACED: Final = 0.05
"""Seconds between two renderings of a view, in the long run."""
_AGAIN: Final = 1.0
"""Seconds after which a view that could not be rendered is tried again."""
_COMMENT: Final = b": still here\n\n"
_RETRY: Final = b"retry: 1000\n\n"
_HEADERS: Final = {"X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a page: an element with an id.

    Attributes:
        state: What it shows; it is rendered again when this is no longer equal.
        html: Renders it.
    """

    state: Any
    html: Callable[[], str]


Parts = Mapping[str, "Part | Mapping[str, Part]"]
"""By the id of their element; a mapping is a list whose children have these ids, in this order."""
Changes = Callable[[], AbstractAsyncContextManager[AsyncIterator[Any]]]
"""Opens something that yields whenever there may be something new."""


class Live:
    """The views of one console."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        self._views: dict[Hashable, _View] = {}
        self._pace = _Pace()

    @property
    def tabs(self) -> int:
        """How many pages are open."""
        return sum(view.tabs for view in self._views.values())

    def stream(
        self, key: Hashable, parts: Callable[[], Awaitable[Parts]], changes: Changes
    ) -> StreamingResponse:
        """A response that streams the parts of a page, as they change, until the tab is closed.

        Args:
            key: What the tab looks at, and with which rights: tabs of one key share a view.
            parts: Says what there is to show now.
            changes: Wakes the view.
        """
        return StreamingResponse(
            self._events(key, parts, changes), media_type="text/event-stream", headers=_HEADERS
        )

    async def _events(
        self, key: Hashable, parts: Callable[[], Awaitable[Parts]], changes: Changes
    ) -> AsyncGenerator[bytes]:
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = _View(parts, changes, self._pace)
        view.tabs += 1
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            yield _RETRY
            async with contextlib.aclosing(view.patches(stopped)) as patches:
                async for patch in patches:
                    yield patch
        finally:
            stopped.cancel()
            view.tabs -= 1
            if not view.tabs:
                view.stop()
                if self._views.get(key) is view:
                    del self._views[key]


class _Pace:
    """Lets views render one at a time, and leaves as much time free as they take."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._free = 0.0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Render in this block."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            await asyncio.sleep(max(0.0, self._free - loop.time()))
            began = loop.time()
            try:
                yield
            finally:
                ended = loop.time()
                self._free = ended + (ended - began)


class _View:
    """What some tabs look at, rendered; `version` grows with each change."""

    def __init__(
        self, parts: Callable[[], Awaitable[Parts]], changes: Changes, pace: _Pace
    ) -> None:
        self.tabs = 0
        self._parts = parts
        self._changes = changes
        self._pace = pace
        self._shown = _Shown()
        self._version = 0
        self._latest = b""
        """What brings a tab from the version before to this one."""
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._keep())

    def stop(self) -> None:
        """Render no more."""
        self._task.cancel()

    async def patches(self, stopped: asyncio.Future[Any]) -> AsyncGenerator[bytes]:
        """Everything first, then what changes; a comment now and then."""
        seen = 0
        while not stopped.done():
            if seen == self._version:
                waiting = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait(
                        {waiting, stopped}, timeout=_BEAT, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    waiting.cancel()
                if seen == self._version:
                    yield _COMMENT
                    continue
            is_next = seen and seen == self._version - 1
            seen = self._version
            yield self._latest if is_next else _event(self._shown.whole())

    async def _keep(self) -> None:
        while True:
            try:
                async with self._changes() as batches:
                    await self._render()
                    spacing = Spacing(_SPACED)  # an answer changes its question, then its run
                    async for _ in batches:
                        await self._render()
                        await spacing.wait()
            except LaybyError as error:
                log.info("console.view_interrupted", error=str(error))
            except Exception:
                log.exception("console.view_failed")
            await asyncio.sleep(_AGAIN)

    async def _render(self) -> None:
        async with self._pace.turn():
            patches = self._shown.update(await self._parts())
        if patches or not self._version:
            self._latest = _event(patches)
            self._version += 1
            self._changed.set()
            self._changed = asyncio.Event()


class _Shown:
    """The parts as they were rendered last."""

    def __init__(self) -> None:
        self._single: dict[str, tuple[Any, str]] = {}
        self._lists: dict[str, dict[str, tuple[Any, str]]] = {}

    def update(self, parts: Parts) -> list[dict[str, Any]]:
        """Render what has changed; the patches for it."""
        patches: list[dict[str, Any]] = []
        for id_, part in parts.items():
            if isinstance(part, Part):
                before = self._single.get(id_)
                now = _rendered(part, before)
                self._single[id_] = now
                if now is not before:
                    patches.append({"id": id_, "html": now[1]})
            else:
                patches += self._update_list(id_, part)
        return patches

    def _update_list(self, id_: str, parts: Mapping[str, Part]) -> list[dict[str, Any]]:
        before = self._lists.get(id_, {})
        now = {key: _rendered(part, before.get(key)) for key, part in parts.items()}
        self._lists[id_] = now
        items = {key: item[1] for key, item in now.items() if item is not before.get(key)}
        if not items and list(now) == list(before):
            return []
        return [{"id": id_, "items": items, "order": list(now)}]

    def whole(self) -> list[dict[str, Any]]:
        """Patches that bring any tab to this."""
        single = [{"id": id_, "html": html} for id_, (_, html) in self._single.items()]
        lists = [
            {"id": id_, "items": {key: html for key, (_, html) in items.items()}, "order": [*items]}
            for id_, items in self._lists.items()
        ]
        return [*single, *lists]


def _rendered(part: Part, before: tuple[Any, str] | None) -> tuple[Any, str]:
    if before is not None and before[0] == part.state:
        return before
    return part.state, part.html()


def _event(patches: list[dict[str, Any]]) -> bytes:
    return b"event: patch\ndata: " + msgspec.json.encode(patches) + b"\n\n"
