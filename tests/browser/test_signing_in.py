"""People sign in with a browser: with a NATS login, or through a proxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layby import App
from layby.console.options import ProxyOptions
from tests.fix_browser import OpenPage, console_on
from tests.security.house import started

pytestmark = [pytest.mark.nats, pytest.mark.slow]


async def test_people_sign_in_with_their_nats_login(tmp_path: Path, tab: OpenPage) -> None:
    async with (
        started("accounts", tmp_path) as house,
        house.working(),
        console_on(house.settings("observer"), auth="nats") as console,
    ):
        await house.question("T9")
        async with tab(console, allow=("401",)) as page:
            await page.get_by_label("User").fill("ada")
            await page.get_by_label("Password").fill("wrong")
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_role("alert").get_by_text("refuses this login").wait_for()
            await page.get_by_label("Password").fill("of-ada")
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url("**/inbox")
            await page.get_by_text("What about T9?").first.wait_for()
            assert await page.locator("#nav a").count() == 1
            await page.get_by_role("button", name="Sign out").click()
            await page.get_by_role("heading", name="Sign in").wait_for()


async def test_a_browser_behind_the_proxy_is_signed_in(layby_running: Any, browser: Any) -> None:
    proxy = ProxyOptions(header="X-Forwarded-User", trusted=("127.0.0.0/8",))
    async with (
        layby_running(App("desk"), workers=0) as rt,
        console_on(rt.settings, auth="proxy", proxy=proxy) as console,
    ):
        context = await browser.new_context(extra_http_headers={"X-Forwarded-User": "dora"})
        page = await context.new_page()
        await page.goto(console.url)
        await page.get_by_role("heading", name="Runs", exact=True).wait_for()
        assert "dora, viewer" in await page.locator(".foot").inner_text()
        await context.close()
