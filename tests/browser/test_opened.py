"""A question that somebody has really looked at, in a real browser, is opened by them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.inbox_app import app_of
from tests.browser.test_inbox import ask
from tests.engine import until
from tests.fix_browser import OpenPage, console_on

pytestmark = [pytest.mark.nats, pytest.mark.slow]

HIDE = """Object.defineProperty(document, "visibilityState", { value: "hidden", writable: true })"""
SHOW = """document.visibilityState = "visible";
document.dispatchEvent(new Event("visibilitychange"))"""


async def test_a_question_that_is_visible_is_opened_once(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt)
        path = f"/inbox/{question.id}"
        async with tab(console, path, java_script_enabled=False) as page:
            await page.get_by_text("Nobody has opened it yet").wait_for()
        async with tab(console, path) as page:
            await page.locator(".seen", has_text="Opened by").wait_for()
            await page.locator(".seen time[data-as=age]").wait_for()
            posted: list[str] = []

            def note(request: Any) -> None:
                posted.append(request.url)

            page.on("request", note)
            await page.reload()
            await page.locator(".seen", has_text="Opened by").wait_for()
            await page.get_by_label("Your answer").fill("Both.")
            await page.get_by_role("button", name="Send answer").click()
            await page.get_by_text("Accepted at").wait_for()
            assert not [url for url in posted if url.endswith("/opened")], "it is known"
        [run] = await rt.client.runs()
        detail = await rt.client.show(run.id)
        assert [each.kind for each in detail.steps].count("question.opened") == 1


async def test_a_page_in_the_background_has_not_been_looked_at(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt)
        async with tab(console, "/health") as page:
            posted: list[str] = []

            def note(request: Any) -> None:
                posted.append(f"{request.method} {request.url}")

            page.on("request", note)
            await page.clock.install()
            await page.add_init_script(HIDE)
            await page.goto(f"{console.url}/inbox/{question.id}")
            await page.get_by_text("Nobody has opened it yet").wait_for()
            await page.clock.run_for(5_000)
            assert not [each for each in posted if each.startswith("POST")]
            await page.evaluate(SHOW)
            await page.clock.run_for(1_500)

            async def opened() -> bool:
                [row] = await rt.client.questions()
                return bool(row.opened)

            await until(opened)
