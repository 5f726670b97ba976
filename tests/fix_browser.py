"""A real browser, and a console to open in it.

The browser is an installed Chromium, driven by Playwright, which downloads none. Every page must
stay free of errors on its console and of requests to anywhere else: that is checked at its end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio

from layby.bus.keyring import KeyService
from layby.bus.settings import ConnectionSettings
from layby.console.options import ConsoleOptions
from layby.console.server import Serving, serving

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
WITHIN = 30.0
"""Seconds that anything on a page may take on a loaded machine."""

OpenConsole = Callable[..., AbstractAsyncContextManager[Serving]]
OpenPage = Callable[..., AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def console_on(
    settings: ConnectionSettings, *, keyring: KeyService | None = None, **options: Any
) -> AsyncGenerator[Serving]:
    """A console on a free port."""
    async with serving(settings, ConsoleOptions(port=0, **options), keyring=keyring) as console:
        yield console


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncGenerator[Any]:
    """An installed Chromium, which all tests share; they skip where there is none.

    To start one for each test would take longer than most of them. Each has a context of its own.
    """
    if CHROMIUM is None:
        pytest.skip("there is no chromium here: install Debian's package to run browser tests")
    from playwright.async_api import async_playwright  # noqa: PLC0415

    async with async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        await chromium.close()


@pytest.fixture
def tab(browser: Any) -> OpenPage:
    """`async with tab(console, "/inbox") as page:` a signed-in page that must stay free of errors.

    Options are those of a context of the browser (`viewport`, `color_scheme`,
    `java_script_enabled`); `allow` are texts of errors that the test provokes.
    """

    @asynccontextmanager
    async def open_tab(
        console: Serving, path: str = "/", *, allow: tuple[str, ...] = (), **options: Any
    ) -> AsyncGenerator[Any]:
        context = await browser.new_context(**options)
        context.set_default_timeout(WITHIN * 1000)
        page = await context.new_page()
        wrong: list[str] = []

        def failed(error: Any) -> None:
            wrong.append(f"error: {error}")

        def said(message: Any) -> None:
            if message.type == "error":
                wrong.append(message.text)

        def asked(request: Any) -> None:
            if _is_foreign(request.url, console):
                wrong.append(request.url)

        page.on("pageerror", failed)
        page.on("console", said)
        page.on("request", asked)
        await page.goto(console.entry)
        if path != "/":
            await page.goto(f"{console.url}{path}")
        try:
            yield page
        finally:
            await context.close()
        left = [each for each in wrong if not any(text in each for text in allow)]
        assert not left, left

    return open_tab


async def check_axe(page: Any) -> None:
    """Fail if axe finds something serious or critical on the page as it is shown now."""
    await page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = (await page.evaluate("axe.run({resultTypes: ['violations']})"))["violations"]
    bad = [
        f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
    assert not bad, "\n".join(bad)


def _is_foreign(url: str, console: Serving) -> bool:
    return not url.startswith((f"{console.url}/", "data:", "blob:"))
