"""One ticket in the browser, from the event to the end; and a server that is killed meanwhile."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from pydantic import BaseModel

from layby import App, Step
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.client import Client
from layby.worker.worker import working
from tests.fix_browser import WITHIN, OpenPage, console_on
from tests.fix_layby import APP

pytestmark = [pytest.mark.nats, pytest.mark.slow]
SOON = WITHIN * 1000


class Opened(BaseModel):
    ticketId: str  # noqa: N815
    urgent: bool = False


app = App("desk")


@app.workflow(on="desk.opened", key="ticketId")
async def handle(event: Opened, step: Step) -> str:
    """Ask a developer, then reply."""
    answer = await step.ask("developer", f"What about {event.ticketId}?", context="It is urgent.")
    return await step.run("reply", reply, answer.text)


async def reply(text: str) -> str:
    return f"Dear customer, {text}"


async def test_a_ticket_goes_from_send_to_its_reply_in_one_browser(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send") as page,
    ):
        await page.get_by_role("link", name="handle").click()
        await page.wait_for_url("**workflow=handle**")
        await page.get_by_label("Ticket id").fill("T125")
        await page.get_by_role("button", name="Send and open the run").click()
        await page.wait_for_url("**/runs/*")
        await page.locator("#wait", has_text="What about T125?").wait_for()
        await page.get_by_role("link", name="Answer").first.click()
        await page.wait_for_url("**/inbox**")
        await page.get_by_role("textbox").first.fill("it is fixed in v1.1.4")
        await page.get_by_role("button", name="Send").first.click()
        await page.get_by_text("accepted").first.wait_for()
        await page.get_by_role("link", name="Runs", exact=False).first.click()
        row = page.locator("#runs tr", has_text="T125")
        await expect(row.locator(".st-completed")).to_be_visible(timeout=SOON)
        await row.get_by_role("link").click()
        await page.locator("#wf", has_text="reply").wait_for()
        assert await rt.result("T125") == "Dear customer, it is fixed in v1.1.4"


async def test_a_server_that_is_killed_and_comes_back_leaves_no_gap(
    own_server: EmbeddedServer, tab: OpenPage
) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    async with (
        working(app, settings, listed_after=0.02),
        console_on(settings) as console,
        tab(console) as page,
    ):
        await page.evaluate("window.same = true")
        for number in range(3):
            ticket = f"T{number}"
            async with Client.connect(settings) as client:
                await client.send("desk.opened", {"ticketId": ticket}, event_id=ticket)
            row = page.locator("#runs tr", has_text=ticket)
            await expect(row.locator(".st-waiting")).to_be_visible(timeout=SOON)
            own_server.kill()
            await own_server.start()
            async with Client.connect(settings) as client:
                await client.answer(ticket, "yes", by="ada", timeout=WITHIN)
            await expect(row.locator(".st-completed")).to_be_visible(timeout=SOON)
        assert await page.evaluate("window.same"), "the page was loaded again"


async def test_a_worker_that_is_killed_is_shown_as_lost(
    clean_nats: str, tmp_path: Path, tab: OpenPage
) -> None:
    (tmp_path / "desk.py").write_text(APP)
    settings = ConnectionSettings(servers=(clean_nats,))
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "layby", "worker", "desk:app"),
        cwd=tmp_path,
        env={
            "NATS_URL": clean_nats,
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with console_on(settings) as console, tab(console, "/health") as page:
            row = page.locator("#health-workers tr", has_text=str(worker.pid))
            await expect(row).to_be_visible(timeout=SOON)
            assert "lost" not in await row.inner_text()
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
            await expect(row).to_contain_text("lost", timeout=SOON)
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
