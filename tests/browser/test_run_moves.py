"""Moving about on the page of a run: keys, zoom, collapsed rows, and a run of any length."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import App, Step
from layby.bus.log import Log
from layby.bus.log_subject import NOBODY
from layby.bus.opened import opened
from layby.bus.settings import ConnectionSettings
from layby.runtime.entry import ROOT, Ended, Raw, Record, Started, Stepped
from layby.runtime.envelope import Envelope, encode
from layby.runtime.ids import run_id
from tests.fix_browser import OpenPage, console_on

pytestmark = [pytest.mark.nats, pytest.mark.slow]

ENTRIES = 10_000
MOST_ROWS = 2_000
"""Rows that a page has at once, whatever the run has."""
AT_ONCE = 200
STARTED = Started(
    workflow="handle", actor="workflow-handle", version="1", ticket="T1", event=Raw(b"{}")
)
app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> None:
    for number in range(event["steps"]):
        await step.run(f"step {number}", _work)
    async with asyncio.TaskGroup() as group:
        group.create_task(step.run("left", _work))
        group.create_task(step.run("right", _work))


async def _work() -> str:
    return "done"


def _is_whole(url: str) -> bool:
    """Whether an address shows the whole run."""
    return "from=" not in url


def selected(page: Any) -> Any:
    return page.locator('#wf tr[aria-selected="true"]')


def focused(page: Any) -> Any:
    return page.locator("#wf tr:focus")


async def a_run_of_seconds(settings: ConnectionSettings) -> str:
    """A run that took seconds: there is nothing to zoom into in one of a millisecond."""
    run = run_id("desk.opened", "seconds")
    names = ("step 0", "step 1", "step 2", "left", "right")
    steps = [Stepped(frame=ROOT, key=name, ms=500.0) for name in names]
    await write(settings, run, STARTED, *steps, Ended(status="completed"))
    return run


async def test_keys_lead_from_row_to_row_and_zoom(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await a_run_of_seconds(rt.settings)
        async with tab(console, f"/runs/{run}") as page:
            await page.locator("#wf tr", has_text="right").wait_for()
            await page.keyboard.press("j")
            await selected(page).filter(has_text="step 0").wait_for()
            await page.keyboard.press("j")
            await selected(page).filter(has_text="step 1").wait_for()
            await page.keyboard.press("k")
            await selected(page).filter(has_text="step 0").wait_for()
            await focused(page).filter(has_text="step 0").wait_for()
            await page.keyboard.press("ArrowDown")
            await focused(page).filter(has_text="step 1").wait_for()
            assert "step 0" in await selected(page).inner_text(), "arrows only move"
            await page.keyboard.press("End")
            await focused(page).filter(has_text="right").wait_for()
            await page.keyboard.press("Enter")
            await selected(page).filter(has_text="right").wait_for()
            await page.keyboard.press("+")
            await page.wait_for_url("**from=*")
            await page.get_by_role("link", name="Whole run").wait_for()
            await page.keyboard.press("-")
            await page.wait_for_url(_is_whole)
            await page.keyboard.press("+")
            await page.wait_for_url("**from=*")
            await page.keyboard.press("0")
            await page.wait_for_url(_is_whole)
            await selected(page).filter(has_text="right").wait_for()


async def test_a_brush_over_the_axis_zooms_into_that_time(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await a_run_of_seconds(rt.settings)
        async with tab(console, f"/runs/{run}") as page:
            await page.get_by_text("Live", exact=True).wait_for()  # so its script runs
            left, top, width, height = await page.locator("#wf-axis td.t svg").evaluate(
                "svg => (r => [r.x, r.y, r.width, r.height])(svg.getBoundingClientRect())"
            )
            await page.mouse.move(left + width * 0.25, top + height / 2)
            await page.mouse.down()
            await page.mouse.move(left + width * 0.75, top + height / 2, steps=4)
            await page.mouse.up()
            await page.wait_for_url("**from=*")
            assert await page.locator(".f-brush").count() == 0
            await page.go_back()
            await page.wait_for_url(_is_whole)
            await page.get_by_role("link", name="Whole run").wait_for(state="detached")


async def test_a_row_is_collapsed_by_mouse_and_key_and_the_address_holds_it(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1", "steps": 2})
        await rt.result()
        async with tab(console, f"/runs/{run}") as page:
            inner = page.locator("#wf tr", has_text="step 0")
            await inner.wait_for()
            await page.get_by_role("link", name="Collapse handle").click()
            await inner.wait_for(state="detached")
            await page.reload()
            await page.locator('#wf tr[aria-expanded="false"]').wait_for()
            assert await inner.count() == 0
            await page.locator("#wf tr[data-row]").first.focus()
            await page.keyboard.press("ArrowRight")
            await inner.wait_for()
            await page.keyboard.press("ArrowLeft")
            await inner.wait_for(state="detached")


async def write(settings: ConnectionSettings, run: str, *records: Record) -> None:
    """Write the log of a run, one record to an entry."""
    async with opened(settings) as bus:
        log = Log(bus.requests)
        entries = [
            encode(Envelope(op=f"{n}", at=1_795_340_000.0 + n, records=[record]))
            for n, record in enumerate(records, 1)
        ]
        for first in range(0, len(entries), AT_ONCE):
            batch = enumerate(entries[first : first + AT_ONCE], first + 1)
            await asyncio.gather(*(log.append(run, n, NOBODY, data) for n, data in batch))


async def test_a_run_of_ten_thousand_entries_opens_and_scrolls(
    layby_running: Any, tab: OpenPage
) -> None:
    steps = [Stepped(frame=ROOT, key=f"step {n}", ms=500.0) for n in range(ENTRIES - 2)]
    run = run_id("desk.opened", "a long one")
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        await write(rt.settings, run, STARTED, *steps, Ended(status="completed"))
        async with tab(console, f"/runs/{run}") as page:
            rows = page.locator("#wf tbody tr[data-row]")
            await page.locator("#wf tr", has_text="step 3").first.wait_for()
            await page.locator("#facts", has_text="10,000 entries").wait_for()
            assert await rows.count() <= MOST_ROWS
            await page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            await page.locator("#wf tr", has_text=f"step {ENTRIES - 3}").wait_for()
            for part in (0.75, 0.5, 0.25):
                await page.evaluate(f"window.scrollTo(0, document.body.scrollHeight * {part})")
                near = round(ENTRIES * part / 1000) * 1000
                await page.wait_for_function(
                    "at => [...document.querySelectorAll('#wf tr[data-row]')].some(row => {"
                    "  const box = row.getBoundingClientRect();"
                    "  const number = Number(/step (\\d+)/.exec(row.textContent)?.[1]);"
                    "  const seen = box.top > 0 && box.bottom < innerHeight;"
                    "  return seen && Math.abs(number - at) < 1500;"
                    "})",
                    arg=near,
                )
                assert await rows.count() <= MOST_ROWS
            await page.evaluate("window.scrollTo(0, 0)")
            await page.locator("#wf tr", has_text="step 7").first.click()
            await page.locator("#detail", has_text="Entries of the log").wait_for()
