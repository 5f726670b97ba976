"""The page of a run in a real browser: it grows, is looked into, and is acted on."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.runtime.retry import Retry
from tests.engine import until
from tests.fix_browser import OpenPage, check_axe, console_on

pytestmark = [pytest.mark.nats, pytest.mark.slow]

HOSTILE = "<script>window.harmed=1</script><img src=x onerror=harmed=1>\u202egnp\x1b[2J"
app = App("desk", retry=Retry(attempts=1))


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    await step.run("look up", look_up, event["ticket"])
    answer = await step.ask("developer", f"What about {event['ticket']}?", context="Urgent.")
    return await step.run("reply", look_up, answer.text)


@app.workflow(on="desk.failed", key="ticket")
async def fail(event: dict[str, Any], step: Step) -> str:
    return await step.run("break", broken, event["error"])


@app.workflow(on="desk.many", key="ticket")
async def many(event: dict[str, Any], step: Step) -> None:
    for number in range(event["steps"]):
        await step.run(f"step {number}", look_up, "x")


async def look_up(ticket: str) -> str:
    return f"about {ticket}"


async def broken(error: str) -> str:
    raise ValueError(error)


async def test_a_run_page_grows_live_to_the_runs_end(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.question()
        async with tab(console, f"/runs/{run}") as page:
            await page.get_by_text("Live", exact=True).wait_for()
            await page.get_by_text("waiting for developer").first.wait_for()
            await page.locator("#wait", has_text="What about T1?").wait_for()
            await page.evaluate("window.same = true")
            await rt.answer(None, "Fixed", by="ada")
            await page.locator("#run-head .st-completed").wait_for()
            await page.locator("#wf", has_text="reply").wait_for()
            assert await page.locator("#wait").count() == 0
            assert await page.evaluate("window.same"), "the page was loaded again"


async def test_a_click_counts_though_the_run_grows_meanwhile(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.question()
        async with (
            tab(console, f"/runs/{run}") as page,
            tab(console, f"/runs/{run}") as other,
        ):
            await page.get_by_text("Live", exact=True).wait_for()
            row = page.locator("#wf tbody tr[data-row]").first
            await row.locator("a[data-soft]").last.hover()
            await page.mouse.down()
            await rt.answer(None, "Fixed", by="ada")
            await other.locator("#run-head .st-completed").wait_for()
            await page.mouse.up()
            await page.wait_for_url("**row=*")
            await page.locator("#run-head .st-completed").wait_for()


PRESSED = "window.pressed = document.querySelector('#wf tbody tr[data-row]')"
FULL = "document.getElementById('wf-axis').dataset.rate = '200'"
"""The axis is about to be full: the page then asks for a wider one, at the next second."""
IS_FULL = f"""({FULL},
Number.parseFloat(document.querySelector('#run line[data-now]').getAttribute('x1')) > 99)"""
PRESSED_AGAIN = """for (const kind of ["pointerup", "pointerdown"])
document.dispatchEvent(new PointerEvent(kind, { bubbles: true, buttons: 1 }))"""


async def test_a_click_counts_though_the_axis_has_become_full_meanwhile(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.question()
        async with tab(console, f"/runs/{run}") as page:
            await page.get_by_text("waiting for developer").first.wait_for()
            await page.locator("#wf tbody tr[data-row] a.lk").first.hover()
            await page.mouse.down()
            await page.evaluate(PRESSED)
            async with page.expect_response(f"**/runs/{run}") as wider:
                await page.evaluate(FULL)
            await (await wider.value).finished()
            assert await page.evaluate("new Promise(requestAnimationFrame)") > 0
            await page.evaluate(PRESSED_AGAIN)
            assert await page.evaluate("new Promise(requestAnimationFrame)") > 0
            assert await page.evaluate("window.pressed.isConnected"), "no click comes from it now"
            await page.mouse.up()
            await page.wait_for_url("**row=*")


async def test_a_wider_axis_does_not_take_the_place_of_what_was_clicked(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.question()
        async with tab(console, f"/runs/{run}") as page:
            await page.get_by_text("waiting for developer").first.wait_for()
            clicked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

            def clicks(route: Any) -> None:
                clicked.set_result(route)

            async def is_full() -> bool:
                return bool(await page.evaluate(IS_FULL))

            await page.route("**row=*", clicks, times=1)
            await page.locator("#wf tbody tr[data-row] a.lk").first.click()
            route = await clicked
            await until(is_full)
            await route.continue_()
            await page.wait_for_url("**row=*")
            assert "row=" in await page.evaluate("document.getElementById('run').dataset.query")


async def test_the_banner_leads_to_the_runs_own_question(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        await rt.question(await rt.send("desk.opened", {"ticket": "T1"}))
        run = await rt.send("desk.opened", {"ticket": "T2"})
        await rt.question(run)
        async with tab(console, f"/runs/{run}") as page:
            await page.locator("#wait").get_by_role("link", name="Answer").click()
            await page.get_by_role("heading", name="What about T2?").wait_for()


async def test_rows_open_to_what_they_did(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.answer(None, "Fixed", by="ada")
        await rt.result()

        async def heard() -> bool:
            return bool(console.console.workers.rows())

        await until(heard)
        async with tab(console, f"/runs/{run}") as page:
            await page.locator("#wf tr", has_text="look up").get_by_role("link").first.click()
            await page.locator("#detail", has_text="about T1").wait_for()
            await page.locator("#detail dt", has_text="Worker").wait_for()
            await page.locator("#detail", has_text=f"process {os.getpid()}").wait_for()
            assert "row=" in page.url
            await page.keyboard.press("j")
            await page.locator("#detail", has_text="What about T1?").wait_for()
            await page.go_back()
            await page.locator("#detail", has_text="about T1").wait_for()


async def test_a_failed_run_says_why_and_is_retried(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.failed", {"ticket": "T1", "error": "no such order"})
        await rt.ended()
        async with tab(console, f"/runs/{run}") as page:
            await page.locator("#run-banner", has_text="no such order").wait_for()
            await page.get_by_role("button", name="Retry…").click()
            await page.get_by_label("Reason").first.fill("the order is there now")
            await page.get_by_role("button", name="Retry this run").click()
            await page.get_by_text("The run is tried again.").wait_for()
        steps = (await rt.client.show(run)).steps
        assert any(step.kind == "run.reopened" for step in steps)


async def test_a_run_is_cancelled_without_the_script(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.question()
        async with tab(console, f"/runs/{run}", java_script_enabled=False) as page:
            await page.get_by_text("Cancel run…").click()
            await page.get_by_role("button", name="Cancel this run").click()
            await page.get_by_text("The run is cancelled.").wait_for()
        assert (await rt.client.show(run)).status == "cancelled"


async def test_the_history_is_downloaded_for_a_test(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.failed", {"ticket": "T1", "error": "x"})
        await rt.ended()
        async with tab(console, f"/runs/{run}") as page:
            async with page.expect_download() as waiting:
                await page.get_by_role("link", name="Download history").click()
            download = await waiting.value
            text = await asyncio.to_thread(Path(await download.path()).read_text)
            assert json.loads(text)


async def test_hostile_text_is_text_everywhere(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.failed", {"ticket": HOSTILE, "error": HOSTILE * 2_000})
        await rt.ended()
        async with tab(console, f"/runs/{run}") as page:
            await page.locator("#run-banner", has_text="<script>").wait_for()
            await page.locator("#wf tr", has_text="break").get_by_role("link").first.click()
            await page.locator("#detail", has_text="<script>").first.wait_for()
            assert await page.evaluate("window.harmed") is None
            assert "\u202e" not in await page.content()
            assert "\x1b" not in await page.content()


async def test_a_long_run_is_shown_in_parts(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.many", {"ticket": "T1", "steps": 450})
        await rt.result()
        async with tab(console, f"/runs/{run}") as page:
            await page.locator("#wf tr", has_text="step 3").first.wait_for()
            assert await page.locator("#wf tbody tr[data-row]").count() <= 250
            await page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            await page.locator("#wf tr", has_text="step 449").wait_for()


@pytest.mark.parametrize("width", [360, 1440])
async def test_the_page_fits_and_axe_finds_nothing(
    layby_running: Any, tab: OpenPage, width: int
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T" * 120})
        await rt.question()
        for scheme in ("light", "dark"):
            size = {"width": width, "height": 800}
            async with tab(console, f"/runs/{run}", viewport=size, color_scheme=scheme) as page:
                await page.locator("#wait").wait_for()
                await check_axe(page)
                assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_run_that_does_not_exist_says_so(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app, workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console, f"/runs/{'0' * 20}", allow=("404",)) as page,
    ):
        await page.get_by_text("there is no run").wait_for()
