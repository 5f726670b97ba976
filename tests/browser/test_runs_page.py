"""The page of runs in a real browser: it grows before the eyes, and is found by filters."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from layby import App, Step
from tests.fix_browser import OpenPage, check_axe, console_on

pytestmark = [pytest.mark.nats, pytest.mark.slow]

HOSTILE = "<script>window.harmed=1</script>\u202egnp.exe\x1b[2J"
app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?")).text


@app.workflow(on="desk.job", key="ticket")
async def job(event: dict[str, Any], _: Step) -> None:
    if "error" in event:
        raise ValueError(event["error"])


async def titled(page: Any, title: str) -> None:
    """Wait until the tab has this title."""
    async with asyncio.timeout(30):
        while True:
            if await page.title() == title:
                return
            await page.wait_for_timeout(20)


async def tickets(page: Any) -> list[str]:
    names: list[str] = await page.locator("#runs tr th a").all_inner_texts()
    return names


async def test_a_run_appears_waits_and_completes_without_a_reload(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console, tab(console) as page:
        await page.get_by_text("No runs yet").wait_for()
        await page.evaluate("window.same = true")
        run = await rt.send("desk.opened", {"ticket": "T1"})
        row = page.locator(f"#r-{run}")
        await row.locator(".st-waiting").wait_for()
        await titled(page, "(1) Runs · Layby")
        assert "developer" in await row.inner_text()
        await rt.answer(None, "yes", by="ada")
        await row.locator(".st-completed").wait_for()
        await titled(page, "Runs · Layby")
        assert await page.get_by_text("No runs yet").count() == 0
        assert await page.evaluate("window.same"), "the page was loaded again"


async def test_filters_are_in_the_address_and_count_what_they_find(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console, tab(console) as page:
        for number in range(3):
            await rt.send("desk.job", {"ticket": f"J{number}"})
        await rt.send("desk.job", {"ticket": "Bad", "error": "Straße closed"})
        await rt.send("desk.opened", {"ticket": "T1"})
        await page.locator(".st-waiting").nth(1).wait_for()
        await page.locator("#runs tr").nth(4).wait_for()
        await page.locator("label.chip", has_text="Failed").click()
        await page.wait_for_url("**status=failed*")
        assert await tickets(page) == ["Bad"]
        await page.goto(f"{console.url}/?q=STRASSE")
        assert await tickets(page) == ["Bad"]
        await page.goto(f"{console.url}/?workflow=job&ticket=J1")
        assert await tickets(page) == ["J1"]
        await page.goto(f"{console.url}/?role=developer")
        assert await tickets(page) == ["T1"]
        await page.goto(f"{console.url}/?q=nothing-like-it")
        await page.get_by_text("No run matches").wait_for()
        async with page.expect_navigation():
            await page.get_by_role("link", name="All runs", exact=True).click()
        assert len(await tickets(page)) == 5


async def test_many_runs_are_paged_to_the_last_one_and_back(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        for number in range(120):
            await rt.send("desk.job", {"ticket": f"J{number:03}"})
        async with tab(console, java_script_enabled=False) as page:
            await _until_total(page, console, "120 runs")
            seen = await tickets(page)
            for _ in range(2):
                async with page.expect_navigation():
                    await page.locator("a[rel=next]").click()
                seen += await tickets(page)
            assert await page.locator("a[rel=next]").count() == 0
            assert sorted(seen) == [f"J{number:03}" for number in range(120)]
            async with page.expect_navigation():
                await page.locator("a[rel=prev]").click()
            assert await tickets(page) == seen[50:100]


async def test_hostile_text_is_text(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console, tab(console) as page:
        run = await rt.send("desk.job", {"ticket": HOSTILE, "error": HOSTILE * 3})
        row = page.locator(f"#r-{run}")
        await row.locator(".st-failed").wait_for()
        words = await row.inner_text()
        assert "<script>window.harmed" in words
        assert "\\u202e" in words
        assert "\u202e" not in words
        assert "\x1b" not in await page.content()
        assert await page.evaluate("window.harmed") is None
        await page.goto(f"{console.url}/?q=%3Cscript%3E&status=%22%3E%3Cscript%3E&time=x&cursor=x")
        assert await page.evaluate("window.harmed") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440, 3840])
async def test_the_page_fits_and_axe_finds_nothing(
    layby_running: Any, tab: OpenPage, width: int, scheme: str
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        await rt.send("desk.opened", {"ticket": "T1"})
        await rt.send("desk.job", {"ticket": "T125", "error": "words " * 80})
        await rt.send("desk.job", {"ticket": "J" * 150, "error": "x" * 500})
        size = {"width": width, "height": 800}
        async with tab(console, viewport=size, color_scheme=scheme) as page:
            await page.locator(".st-waiting").nth(1).wait_for()
            await page.locator("#runs .st-failed").nth(1).wait_for()
            await check_axe(page)
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width
            shown = await page.get_by_role("link", name="T125", exact=True).bounding_box()
            assert shown is not None
            assert shown["height"] < 30, "a short ticket is on one line"


@pytest.mark.parametrize("scripted", [True, False])
async def test_a_run_leads_back_to_the_list_as_it_was_filtered(
    layby_running: Any, tab: OpenPage, *, scripted: bool
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.question()
        async with tab(console, java_script_enabled=scripted) as page:
            await _until_total(page, console, "1 run,")
            await page.goto(f"{console.url}/?status=waiting&q=about&workflow=handle")
            await page.locator("#runs tr th a").click()
            await page.wait_for_url(f"**/runs/{run}")
            await page.locator("#wf tbody a").last.click()
            await page.wait_for_url(re.compile(rf"/runs/{run}\?row="))
            await page.get_by_label("Breadcrumb").get_by_role("link", name="Runs").click()
            await page.wait_for_url(f"{console.url}/?status=waiting&q=about&workflow=handle")
            assert await tickets(page) == ["T1"]


async def test_rows_are_reached_and_opened_by_keys(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console, tab(console) as page:
        first = await rt.send("desk.job", {"ticket": "J1"})
        await page.locator(f"#r-{first}").wait_for()
        second = await rt.send("desk.job", {"ticket": "J2"})
        await page.locator(f"#r-{second}").wait_for()
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        assert await page.locator(f"#r-{first} input").is_checked()
        await page.get_by_text("1 run selected").wait_for()
        await page.keyboard.press("?")
        await page.get_by_text("next, previous row").wait_for()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.type") == "search"
        await page.keyboard.press("Escape")
        await page.keyboard.press("g")
        await page.keyboard.press("i")
        await page.wait_for_url("**/inbox")


async def _until_total(page: Any, console: Any, words: str) -> None:
    async with asyncio.timeout(30):
        while words not in await page.locator("#pager").inner_text():
            await page.goto(f"{console.url}/")
