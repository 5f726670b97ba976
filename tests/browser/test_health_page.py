"""The page Health in a real browser: what waits, what is wrong, what is done to dead letters."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.client import Client
from layby.worker.worker import working
from tests.fix_browser import OpenPage, check_axe, console_on
from tests.fix_layby import APP, Desk

pytestmark = [pytest.mark.nats, pytest.mark.slow]

HOSTILE = "</td><script>window.harmed=1</script>\u202egnp.exe\x1b[2J"
app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?", timeout="30m")).text


async def ill_event(rt: Any, said: str = "x") -> None:
    """An event that no worker can handle."""
    async with Client.connect(rt.settings) as client:
        sent = await client.dispatch("desk.opened", {said: "no ticket"}, within=30)
        assert sent.refused


async def test_what_waits_and_what_is_due_is_shown_and_stays_live(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/health") as page,
    ):
        figures = page.locator("#health-figures")
        assert "Waiting for people\n0" in await figures.inner_text()
        await page.evaluate("window.same = true")
        await rt.send("desk.opened", {"ticket": "T1"})
        await figures.get_by_text("oldest").wait_for()
        await page.locator("#health-timers").get_by_text("deadline, developer").wait_for()
        await page.locator("#stream-QUESTIONS").get_by_text("1", exact=True).wait_for()
        assert await page.evaluate("window.same"), "the page was loaded again"


async def test_the_doctor_is_asked_when_the_page_is_opened(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/health", java_script_enabled=False) as page,
    ):
        said = page.locator("#health-doctor")
        await said.get_by_text("nats-server").wait_for()
        examination = console.console.vitals.examination.found
        assert examination is not None
        await page.get_by_role("link", name="Look again").click()
        assert console.console.vitals.examination.found is examination, "asked twice in 5 s"


async def test_a_dead_letter_is_retried_and_another_dropped(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/health") as page,
    ):
        await ill_event(rt)
        await ill_event(rt)
        await page.locator("#dead-2").wait_for()
        await page.get_by_role("link", name="Drop letter 1").click()
        dialog = page.locator("dialog")
        await dialog.get_by_text("Remove this message for good?").wait_for()
        await check_axe(page)
        await dialog.get_by_role("button", name="Drop").click()
        await page.get_by_text("dropped").wait_for()
        await page.get_by_role("link", name="Back to health").click()
        # Until its script has run, the new page follows the link without a dialog.
        await page.locator("html.scripted #dead-2").wait_for()
        assert await page.locator("#dead-1").count() == 0
        await page.get_by_role("link", name="Retry letter 2").click()
        await dialog.get_by_role("button", name="Retry").click()
        await page.get_by_text("not done").wait_for()
        assert "no ticket id" in await page.locator(".find").inner_text()


async def test_letters_are_dropped_without_a_script(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        await ill_event(rt)
        async with tab(console, "/health", java_script_enabled=False) as page:
            await page.get_by_role("link", name="Drop letter 1").click()
            await page.get_by_label("Reason").fill("not ours")
            await page.get_by_role("button", name="Drop").click()
            await page.get_by_text("dropped").wait_for()
        async with Client.connect(rt.settings) as client:
            assert await client.dead() == []
            [row] = await client.audit()
            assert (row.verb, row.why) == ("dead-drop", "not ours")


async def test_a_mailbox_that_nobody_reads_is_marked(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app, workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console, "/health") as page,
    ):
        await rt.send("desk.opened", {"ticket": "T1"})
        row = page.locator("#mailbox-EVENTS-on-handle")
        await row.get_by_text("none").wait_for()
        await page.get_by_role("link", name="Look again").click()
        await page.locator(".find .warning", has_text="1 message waits").wait_for()


async def test_a_worker_that_is_killed_is_marked_as_lost(
    tmp_path: Path, clean_nats: str, tab: OpenPage
) -> None:
    (tmp_path / "desk.py").write_text(APP)
    desk = Desk(tmp_path, clean_nats)
    try:
        worker = await asyncio.to_thread(desk.start_worker)
        async with (
            console_on(ConnectionSettings(servers=(clean_nats,))) as console,
            tab(console, "/health") as page,
        ):
            rows = page.locator("#health-workers tbody tr")
            await rows.get_by_text("now").wait_for()
            assert await page.locator("#health-apps").get_by_text("desk.ticket.opened").count()
            worker.kill()
            await rows.get_by_text("lost").wait_for()
            await page.locator("#health-figures").get_by_text("1 lost").wait_for()
            await check_axe(page)
    finally:
        await asyncio.to_thread(desk.stop_workers)


async def test_a_worker_that_stops_is_gone(layby_running: Any, tab: OpenPage) -> None:
    async with contextlib.AsyncExitStack() as stack:
        rt = await stack.enter_async_context(layby_running(app, workers=0))
        console = await stack.enter_async_context(console_on(rt.settings))
        page = await stack.enter_async_context(tab(console, "/health"))
        async with working(app, rt.settings):
            await page.locator("#health-workers tbody tr").get_by_text("now").wait_for()
        await page.get_by_text("No worker is running.").wait_for()


async def test_an_outage_of_the_server_is_shown_and_the_figures_come_back(
    own_server: EmbeddedServer, tab: OpenPage
) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    async with (
        console_on(settings) as console,
        working(app, settings, listed_after=0.02),
        tab(console, "/health") as page,
    ):
        await page.locator("#stream-EVENTS").wait_for()
        await page.evaluate("window.same = true")
        own_server.kill()
        await page.get_by_text("Streams and mailboxes could not be read.").wait_for()
        await own_server.start()
        async with Client.connect(settings) as client:
            await client.send("desk.opened", {"ticket": "T1"})
        await page.locator("#health-timers").get_by_text("deadline, developer").wait_for()
        await page.locator("#health-trouble").get_by_text("could not").wait_for(state="detached")
        assert await page.evaluate("window.same"), "the page was loaded again"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_hostile_text_is_inert_and_axe_finds_nothing(
    layby_running: Any, tab: OpenPage, scheme: str
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, color_scheme=scheme, viewport={"width": 360, "height": 800}) as page,
    ):
        await ill_event(rt, HOSTILE)
        await rt.send("desk.opened", {"ticket": "T1"})
        for path in ("/health", "/health?idle=1", "/health/dead/1", "/health/dead/1/drop"):
            await page.goto(f"{console.url}{path}")
            await check_axe(page)
            assert await page.evaluate("window.harmed") is None
            text = await page.locator("main").inner_text()
            assert "\u202e" not in text
            assert "\x1b" not in text
            wide = "document.documentElement.scrollWidth - innerWidth"
            assert await page.evaluate(wide) <= 0, path
        await page.goto(f"{console.url}/health/dead/1")
        assert "\\u202egnp" in await page.locator("pre").inner_text()
