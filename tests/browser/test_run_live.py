"""The page of a run follows it: what goes on now, what a model says, and a retry from elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from layby import Agent, App, Network, Route, Step
from layby.actors.models.model import ModelRequest, ModelResponse, OnText
from layby.runtime.retry import Retry
from tests.fix_browser import OpenPage, console_on
from tests.scripted import says

pytestmark = [pytest.mark.nats, pytest.mark.slow]

app = App("desk", retry=Retry(attempts=1))
broken: set[str] = set()
"""Tickets whose lines are broken."""


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?")).text


@app.workflow(on="desk.called", key="ticket")
async def call(event: dict[str, Any], step: Step) -> str:
    return await step.run("call", _call, event["ticket"])


async def _call(ticket: str) -> str:
    if ticket in broken:
        raise ValueError("no line")
    return "called"


class Speaker:
    """A model that says one piece of a text each time it is let on."""

    name = "speaker"

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.on = asyncio.Semaphore(0)

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        del request
        for piece in self.pieces:
            await self.on.acquire()
            if on_text is not None:
                on_text(piece)
        await self.on.acquire()
        return says("".join(self.pieces))


def once(route: Route) -> str | None:
    """Let the one agent take one turn."""
    return None if route.turns else "Ann"


async def test_work_in_progress_has_a_row_in_which_its_text_grows(
    layby_running: Any, tab: OpenPage
) -> None:
    model = Speaker("Good ", "morning", ", <b>Ada</b>")
    network = Network("support", agents=[Agent("Ann", system="", model=model)], router=once)
    talking = App("talk", networks=[network])

    @talking.workflow(on="talk.opened", key="ticket")
    async def greet(event: dict[str, Any], step: Step) -> str:
        return (await step.network(network, f"Greet {event['ticket']}.")).text

    async with layby_running(talking) as rt, console_on(rt.settings) as console:
        run = await rt.send("talk.opened", {"ticket": "T1"})
        async with tab(console, f"/runs/{run}") as page:
            row = page.locator("#wf tr", has_text="running").filter(has_text="model")
            await row.locator("[data-grows]").wait_for(state="attached")
            model.on.release()
            speaking = page.locator("#wf tr", has_text="speaking")
            await speaking.get_by_role("link").first.click()
            detail = page.locator("#detail")
            await detail.get_by_text("assistant, still speaking").wait_for()
            model.on.release()
            await detail.get_by_text("Good morning").wait_for()
            model.on.release()
            await detail.locator(".msg", has_text="Good morning, <b>Ada</b>").wait_for()
            model.on.release()
            await page.locator("#run-head .st-completed").wait_for()
            # Each part of the page comes by itself.
            await page.locator("#wf [data-grows]").wait_for(state="detached")
            await detail.get_by_text("still speaking").wait_for(state="detached")
            await detail.locator(".msg", has_text="Good morning, <b>Ada</b>").wait_for()
            said = page.locator("#wf tr", has_text="1st")
            assert await said.get_attribute("aria-selected") == "true", "the row kept its place"


async def test_a_tab_on_a_run_that_is_over_sees_it_retried_elsewhere(
    layby_running: Any, tab: OpenPage
) -> None:
    broken.add("T1")
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.called", {"ticket": "T1"})
        await rt.ended()
        async with tab(console, f"/runs/{run}") as page:
            await page.locator("#run-banner", has_text="no line").wait_for()
            await page.evaluate("window.same = true")
            broken.clear()
            await rt.client.retry(run, by="ada", reason="the line is there")
            await page.locator("#run-head .st-completed").wait_for()
            await page.locator("#run-banner", has_text="no line").wait_for(state="detached")
            assert not (await page.locator("#run-banner").inner_text()).strip()
            rows = page.locator("#wf tbody tr", has_text="call")
            await rows.nth(2).wait_for()
            assert await rows.count() == 3
            assert await page.evaluate("window.same"), "the page was loaded again"


async def test_the_rail_says_whether_the_page_is_up_to_date(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, AsyncExitStack() as pages:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.question()
        async with console_on(rt.settings) as console:
            opening = tab(console, f"/runs/{run}", allow=("ERR_", "Failed to load"))
            page = await pages.enter_async_context(opening)
            await page.get_by_text("Live", exact=True).wait_for()
        await page.get_by_text("Reconnecting, last seen").wait_for()


async def test_the_banner_leads_to_the_answer_and_goes_with_it(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.question()
        async with (
            tab(console, f"/runs/{run}") as looking,
            tab(console, f"/runs/{run}") as page,
        ):
            await looking.locator("#wait .clock", has_text="left").wait_for()
            await page.locator("#wait").get_by_role("link", name="Answer").click()
            await page.wait_for_url("**/inbox/*")  # loaded: its keys work
            await page.get_by_text("What about T1?").first.wait_for()
            await page.get_by_label("Your answer").first.fill("It is <i>known</i>.")
            await page.keyboard.press("Control+Enter")
            await looking.locator("#run-head .st-completed").wait_for()
            await looking.locator("#wait").wait_for(state="detached")
            thread = looking.locator("#threads")
            await thread.get_by_text("It is <i>known</i>.").wait_for()
            await thread.get_by_text("accepted, seq").wait_for()
