"""Servers go away and come back while pages are open: nothing is missed, nothing is reloaded."""

from __future__ import annotations

from typing import Any

import pytest

from layby import App, Step
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.client import Client
from layby.console.options import ConsoleOptions
from layby.console.server import serving
from layby.worker.worker import working
from tests.engine import until
from tests.fix_browser import OpenPage, console_on

pytestmark = [pytest.mark.nats, pytest.mark.slow]

app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?")).text


async def test_nothing_is_missed_while_nats_is_away(
    own_server: EmbeddedServer, tab: OpenPage
) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    async with (
        console_on(settings) as console,
        working(app, settings, listed_after=0.02),
        tab(console) as page,
    ):
        await page.get_by_text("No runs yet").wait_for()
        await page.evaluate("window.same = true")
        for number in range(3):
            async with Client.connect(settings) as client:
                await client.send("desk.opened", {"ticket": f"T{number}"})
            await page.locator("#runs tr", has_text=f"T{number}").locator(".st-waiting").wait_for()
            own_server.kill()
            await own_server.start()
            async with Client.connect(settings) as client:
                await client.answer(f"T{number}", "yes", by="ada", timeout=60)
            row = page.locator("#runs tr", has_text=f"T{number}")
            await row.locator(".st-completed").wait_for()
        assert await page.locator("#runs tr").count() == 3
        assert await page.evaluate("window.same"), "the page was loaded again"


async def test_the_rail_says_that_the_console_is_away_and_catches_up(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt:
        async with console_on(rt.settings) as first:
            port = first.console.options.port
            token = first.entry
            page_of = tab(first, allow=("ERR_", "Failed to load"))
            page = await page_of.__aenter__()
            await page.get_by_text("Live", exact=True).wait_for()
        await page.get_by_text("Reconnecting, last seen").wait_for()
        del token
        await rt.send("desk.opened", {"ticket": "T1"})
        async with serving(rt.settings, ConsoleOptions(port=port)) as again:
            await page.goto(again.entry)
            await page.locator("#runs .st-waiting").wait_for()
            await page.get_by_text("Live", exact=True).wait_for()
        await page_of.__aexit__(None, None, None)


async def test_the_rail_says_that_nats_is_away_and_when_it_is_back(
    own_server: EmbeddedServer, tab: OpenPage
) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    async with (
        console_on(settings) as console,
        tab(console) as page,
        tab(console, java_script_enabled=False) as still,
    ):
        live, away = page.get_by_text("Live", exact=True), page.get_by_text("No connection to NATS")
        await live.wait_for()
        assert not await away.count()
        own_server.kill()
        await away.wait_for()
        await live.wait_for(state="hidden")
        await still.reload()
        await still.get_by_text("No connection to NATS since").wait_for()
        await own_server.start()
        await away.wait_for(state="detached")
        await live.wait_for()
        async with working(app, settings), Client.connect(settings) as client:
            await client.send("desk.opened", {"ticket": "T1"})
            await page.locator("#runs .st-waiting").wait_for()
        await still.reload()
        assert not await still.get_by_text("No connection to NATS").count()


async def test_a_run_page_says_that_nats_is_away(own_server: EmbeddedServer, tab: OpenPage) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    async with (
        console_on(settings) as console,
        working(app, settings, listed_after=0.02),
        Client.connect(settings) as client,
    ):
        [run] = (await client.dispatch("desk.opened", {"ticket": "T1"})).runs
        # A refresh may be under way when the server goes.
        async with tab(console, f"/runs/{run.id}", allow=("503",)) as page:
            away = page.get_by_text("No connection to NATS")
            await page.get_by_text("What about T1?").first.wait_for()
            # The page is there before its stream, which needs NATS to begin.
            await page.get_by_text("Live", exact=True).wait_for()
            own_server.kill()
            await away.wait_for()
            await own_server.start()
            await away.wait_for(state="detached")


async def test_a_page_that_needs_nats_says_that_it_is_away(
    own_server: EmbeddedServer, tab: OpenPage
) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    async with (
        console_on(settings) as console,
        working(app, settings, listed_after=0.02),
        Client.connect(settings) as client,
        tab(console, allow=("503",)) as page,
    ):
        [run] = (await client.dispatch("desk.opened", {"ticket": "T1"})).runs
        await page.get_by_text("T1").first.wait_for()
        own_server.kill()
        await page.get_by_text("No connection to NATS").wait_for()
        response = await page.goto(f"{console.url}/runs/{run.id}")
        assert response is not None
        assert response.status == 503
        await page.get_by_text("NATS does not answer").first.wait_for()
        await own_server.start()

        async def shown() -> bool:
            found = await page.goto(f"{console.url}/runs/{run.id}")
            return found is not None and found.ok

        await until(shown)
        await page.get_by_text("What about T1?").first.wait_for()
