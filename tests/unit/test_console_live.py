"""Open pages are kept up to date: each tab gets everything once, then only what changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest

from layby.bus.errors import LaybyError
from layby.console import live as module
from layby.console.live import Live, Part

WITHIN = 10.0


class Page:
    """What there is to show, and how often it was rendered."""

    def __init__(self) -> None:
        self.parts: dict[str, Part | Mapping[str, Part]] = {}
        self.rendered: list[str] = []
        self.woken = asyncio.Queue[None]()
        self.listening = 0
        self.errors: list[Exception] = []

    def part(self, html: str) -> Part:
        def render() -> str:
            self.rendered.append(html)
            return html

        return Part(state=html, html=render)

    def show(self, **parts: str | dict[str, str]) -> None:
        """Show these from now on."""
        for name, what in parts.items():
            if isinstance(what, dict):
                self.parts[name] = {key: self.part(html) for key, html in what.items()}
            else:
                self.parts[name] = self.part(what)
        self.woken.put_nowait(None)

    async def now(self) -> dict[str, Part | Mapping[str, Part]]:
        if self.errors:
            raise self.errors.pop()
        return self.parts

    @contextlib.asynccontextmanager
    async def changes(self) -> AsyncGenerator[AsyncIterator[None]]:
        self.listening += 1
        try:
            yield self._each()
        finally:
            self.listening -= 1

    async def _each(self) -> AsyncIterator[None]:
        while True:
            await self.woken.get()
            yield


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setattr(module, "_SPACED", 0.001)
    monkeypatch.setattr(module, "_AGAIN", 0.0)
    return Page()


@contextlib.asynccontextmanager
async def tab(live: Live, page: Page, key: str = "k") -> AsyncGenerator[AsyncIterator[bytes]]:
    """A tab of the page; its stream is closed as by a browser that leaves."""
    events = live._events(key, page.now, page.changes)
    assert (await anext(events)).startswith(b"retry:")
    try:
        yield events
    finally:
        await events.aclose()


async def patches(events: AsyncIterator[bytes]) -> list[dict[str, Any]]:
    """The patches of the next event."""
    async with asyncio.timeout(WITHIN):
        async for event in events:
            if event.startswith(b"event: patch\n"):
                found: list[dict[str, Any]] = msgspec.json.decode(event.partition(b"data: ")[2])
                return found
    raise AssertionError("the stream ended")


async def test_a_tab_gets_everything_and_then_what_changes(page: Page) -> None:
    live = Live(asyncio.Event())
    page.show(head="2 runs", rows={"a": "A", "b": "B"})
    async with tab(live, page) as events:
        assert await patches(events) == [
            {"id": "head", "html": "2 runs"},
            {"id": "rows", "items": {"a": "A", "b": "B"}, "order": ["a", "b"]},
        ]
        page.show(rows={"c": "C", "a": "A"})
        assert await patches(events) == [{"id": "rows", "items": {"c": "C"}, "order": ["c", "a"]}]
        page.show(head="3 runs")
        assert await patches(events) == [{"id": "head", "html": "3 runs"}]


async def test_a_part_whose_state_is_the_same_is_not_rendered_again(page: Page) -> None:
    live = Live(asyncio.Event())
    page.show(head="1", rows={"a": "A"})
    async with tab(live, page) as events:
        await patches(events)
        page.show(head="1", rows={"a": "A"})
        page.show(head="2")
        assert await patches(events) == [{"id": "head", "html": "2"}]
    assert page.rendered == ["1", "A", "2"]


async def test_tabs_of_one_key_share_a_view_and_a_late_one_gets_the_whole(page: Page) -> None:
    live = Live(asyncio.Event())
    page.show(head="1")
    async with tab(live, page) as first:
        await patches(first)
        async with tab(live, page) as second:
            assert await patches(second) == [{"id": "head", "html": "1"}]
            assert (live.tabs, page.listening) == (2, 1)
            page.show(head="2")
            assert await patches(first) == await patches(second) == [{"id": "head", "html": "2"}]
        assert live.tabs == 1
    assert page.rendered == ["1", "2"]


async def test_a_tab_that_missed_a_version_gets_the_whole(page: Page) -> None:
    live = Live(asyncio.Event())
    page.show(head="1", foot="x")
    async with tab(live, page) as slow, tab(live, page) as fast:
        await patches(slow)
        await patches(fast)
        for number in ("2", "3"):
            page.show(head=number)
            await patches(fast)
        assert await patches(slow) == [{"id": "head", "html": "3"}, {"id": "foot", "html": "x"}]


async def test_the_view_ends_with_its_last_tab(page: Page) -> None:
    live = Live(asyncio.Event())
    page.show(head="1")
    async with tab(live, page) as events:
        await patches(events)
        [view] = live._views.values()
    assert live.tabs == 0
    assert not live._views
    with contextlib.suppress(asyncio.CancelledError):
        await view._task
    assert page.listening == 0


async def test_tabs_with_other_rights_have_a_view_of_their_own(page: Page) -> None:
    live, other = Live(asyncio.Event()), Page()
    page.show(head="all")
    other.show(head="some")
    async with tab(live, page, "all") as first, tab(live, other, "some") as second:
        assert await patches(first) == [{"id": "head", "html": "all"}]
        assert await patches(second) == [{"id": "head", "html": "some"}]


@pytest.mark.parametrize("error", [LaybyError("away"), ValueError("a fault of ours")])
async def test_a_view_that_cannot_be_rendered_is_rendered_later(
    page: Page, error: Exception
) -> None:
    live = Live(asyncio.Event())
    page.show(head="1")
    page.errors.append(error)
    async with tab(live, page) as events:
        assert await patches(events) == [{"id": "head", "html": "1"}]


async def test_streams_end_with_the_console(page: Page) -> None:
    stopping = asyncio.Event()
    page.show(head="1")
    async with tab(Live(stopping), page) as events:
        await patches(events)
        stopping.set()
        async with asyncio.timeout(WITHIN):
            assert [event async for event in events if event.startswith(b"event:")] == []
