"""The console opens in a browser, for whoever has its printed address."""

from __future__ import annotations

from typing import Any

import pytest

from layby import App
from tests.fix_browser import OpenPage, check_axe, console_on

pytestmark = [pytest.mark.nats, pytest.mark.slow]


async def test_the_printed_address_opens_the_console_and_leaves_no_token(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(App("desk"), workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console) as page,
    ):
        assert await page.title() == "Runs · Layby"
        assert "token" not in page.url
        await page.get_by_role("link", name="Inbox").click()
        await page.wait_for_url("**/inbox")


async def test_nobody_without_the_token_sees_anything(layby_running: Any, browser: Any) -> None:
    async with layby_running(App("desk"), workers=0) as rt, console_on(rt.settings) as console:
        page = await (await browser.new_context()).new_page()
        response = await page.goto(console.url)
        assert response.status == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(layby_running: Any, tab: OpenPage, scheme: str) -> None:
    async with (
        layby_running(App("desk"), workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console, color_scheme=scheme) as page,
    ):
        for path in ("/", "/inbox", "/send", "/health"):
            await page.goto(f"{console.url}{path}")
            await check_axe(page)
