"""One page in a headless Chromium, and the times at which it was painted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncGenerator
from typing import Any

from .peers import Unavailable

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_WITHIN = 60_000
_PAINTED = """
() => new Promise(done => {
  const seen = performance.getEntriesByName("first-contentful-paint")[0];
  if (seen) return done(seen.startTime);
  new PerformanceObserver((list, observer) => {
    for (const entry of list.getEntries())
      if (entry.name === "first-contentful-paint") { observer.disconnect(); done(entry.startTime); }
  }).observe({ type: "paint", buffered: true });
})
"""
_ROW = """
([text, status]) => {
  for (const row of document.querySelectorAll("tr, li"))
    if (row.textContent.includes(text) && row.querySelector("." + status)) return true;
  return false;
}
"""
_REPAINTED = """
([text, status]) => new Promise(done => {
  const found = () => [...document.querySelectorAll("tr, li")].some(
    row => row.textContent.includes(text) && row.querySelector("." + status));
  const painted = () => requestAnimationFrame(() => setTimeout(
    () => done(performance.timeOrigin + performance.now())));
  window.watchingRows = true;
  if (found()) return painted();
  const observer = new MutationObserver(() => {
    if (found()) { observer.disconnect(); painted(); }
  });
  observer.observe(document.body, { subtree: true, childList: true, attributes: true });
})
"""
_SCROLL = """
() => new Promise(done => {
  let last = performance.now(), slowest = 0, frames = 0;
  const frame = now => {
    slowest = Math.max(slowest, now - last);
    last = now;
    window.scrollBy(0, 600);
    if (++frames < 120) requestAnimationFrame(frame); else done(slowest);
  };
  requestAnimationFrame(now => { last = now; requestAnimationFrame(frame); });
})
"""


class Page:
    """A page and what was measured on it."""

    def __init__(self, page: Any) -> None:
        self._page = page

    async def go(self, url: str) -> None:
        """Open an address."""
        await self._page.goto(url)

    async def painted(self, url: str) -> float:
        """Milliseconds from the request for `url` to its first contentful paint."""
        await self._page.goto(url)
        return float(await self._page.evaluate(_PAINTED))

    async def painted_by_click(self, selector: str) -> float:
        """Milliseconds from the request of a link to the first contentful paint."""
        href = await self._page.eval_on_selector(selector, "link => link.href")
        return await self.painted(href)

    async def until_text(self, text: str, within: float) -> None:
        """Wait until the page has `text`."""
        await self._page.wait_for_function(
            "text => document.body.textContent.includes(text)", arg=text, timeout=within * 1000
        )

    async def until_row(self, text: str, status: str) -> None:
        """Wait for a row with this text and an element of the class `status`."""
        await self._page.wait_for_function(_ROW, arg=[text, status])

    async def row_repainted(self, text: str, status: str) -> float:
        """When a row with this text got an element of the class `status`, in Unix seconds."""
        return float(await self._page.evaluate(_REPAINTED, [text, status])) / 1e3

    async def watching(self) -> None:
        """Wait until `row_repainted` watches."""
        await self._page.wait_for_function("() => window.watchingRows === true")
        await self._page.evaluate("() => { window.watchingRows = false; }")

    async def requests_within(self, seconds: float) -> int:
        """How many requests the page makes meanwhile."""
        asked: list[str] = []

        def ask(request: Any) -> None:
            asked.append(request.url)

        self._page.on("request", ask)
        await asyncio.sleep(seconds)
        return len(asked)

    async def slowest_frame_while_scrolling(self) -> float:
        """Milliseconds of the longest frame of 120, scrolled by 600 pixels each."""
        return float(await self._page.evaluate(_SCROLL))


@contextlib.asynccontextmanager
async def opened_page(url: str) -> AsyncGenerator[Page]:
    """A page of a Chromium that is installed here. Raises Unavailable if there is none."""
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if path is None:
        raise Unavailable("there is no chromium here")
    from playwright.async_api import async_playwright  # noqa: PLC0415

    async with async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            context = await browser.new_context(viewport={"width": 1440, "height": 900})
            context.set_default_timeout(_WITHIN)
            page = await context.new_page()
            await page.goto(url)
            yield Page(page)
        finally:
            await browser.close()
