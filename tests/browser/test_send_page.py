"""The page Send in a real browser: an event is written, sent, and its run opens."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from layby import App, Step
from layby.client import Client
from layby.console.catalogue.query import RunQuery
from tests.fix_browser import OpenPage, check_axe, console_on
from tests.fix_nats import eventually

pytestmark = [pytest.mark.nats, pytest.mark.slow]

RUN = re.compile(r"/runs/([0-9a-f]{20})$")
app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def open_ticket(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?")).text


@app.workflow(on="desk.closed", key="ticket")
async def close_ticket(_: dict[str, Any]) -> None:
    """Do nothing."""


class Complaint(msgspec.Struct):
    """What a customer says."""

    ticket: str
    stars: int
    urgent: bool = False
    tags: list[str] = []


@app.workflow(on="desk.complained", key="ticket")
async def complain(event: Complaint, _: Step) -> dict[str, Any]:
    """Weigh a complaint."""
    return {"stars": event.stars, "tags": event.tags, "urgent": event.urgent}


async def written(page: Any, text: str, event_id: str = "") -> None:
    await page.get_by_label("As JSON").fill(text)
    await page.get_by_label("Event id").fill(event_id)


async def sent(page: Any) -> None:
    await page.get_by_role("button", name="Send and open the run").click()


async def test_an_event_is_sent_and_its_run_opens(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send") as page,
    ):
        await page.get_by_role("link", name="desk.opened").click()
        await written(page, '{"ticket": "T1", "large": 12345678901234567890123}')
        await page.get_by_label("As JSON").press("Tab")
        await sent(page)
        await page.wait_for_url(RUN)
        found = RUN.search(page.url)
        assert found is not None
        assert (await rt.question(found[1])).run == found[1]


@pytest.mark.parametrize("script", [True, False])
async def test_a_form_is_made_of_the_events_type(
    layby_running: Any, tab: OpenPage, *, script: bool
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send?workflow=complain", java_script_enabled=script, allow=("422",)) as page,
    ):
        await page.get_by_text("Weigh a complaint.").wait_for()
        await page.get_by_label("Ticket").fill("T9")
        await page.get_by_label("Stars").fill("many")
        async with page.expect_navigation():
            await sent(page)
        assert await page.get_by_label("Stars").get_attribute("aria-invalid") == "true"
        await page.get_by_label("Stars").fill("2")
        await page.locator("[name=_add]").click()
        await page.locator("ol.rows textarea, ol.rows input[type=text]").fill("late")
        await page.get_by_role("button", name="JSON", exact=True).click()
        shown = await page.get_by_label("As JSON").input_value()
        assert msgspec.json.decode(shown)["stars"] == 2
        await page.get_by_role("button", name="Form", exact=True).click()
        await sent(page)
        await page.wait_for_url(RUN)
        found = RUN.search(page.url)
        assert found is not None
        assert await rt.result(found[1]) == {"stars": 2, "tags": ["late"], "urgent": False}


async def test_events_are_sent_without_a_script_and_once_for_an_id(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send", java_script_enabled=False) as page,
    ):
        for _ in range(2):
            await page.goto(f"{console.url}/send?workflow=close_ticket")
            await written(page, '{"ticket": "T1"}', "once")
            await sent(page)
        await page.get_by_text("Nothing new has started.").wait_for()
        await page.get_by_role("link", name="The run of close_ticket").click()
        await page.get_by_role("heading", name="T1").wait_for()
        runs = (await console.console.catalogue.runs(RunQuery())).runs
        assert [run.ticket for run in runs] == ["T1"]


async def test_invalid_json_is_refused_and_stays_to_be_corrected(
    layby_running: Any, tab: OpenPage
) -> None:
    hostile = '{"ticket": "</textarea><script>window.harmed=1</script>'
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send", allow=("422",)) as page,
    ):
        await written(page, hostile, "e1")
        await sent(page)
        await page.get_by_text("It is not JSON").wait_for()
        assert await page.get_by_label("As JSON").input_value() == hostile
        assert await page.get_by_label("Event id").input_value() == "e1"
        assert await page.evaluate("window.harmed") is None
        await check_axe(page)


async def test_an_event_that_a_worker_cannot_read_says_why(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send") as page,
    ):
        await written(page, '{"no": "ticket"}')
        await sent(page)
        notice = page.locator("#notice")
        await notice.get_by_text("A worker cannot read the event.").wait_for()
        assert "no ticket id" in await notice.inner_text()
        await notice.get_by_role("link", name="Dead letters").click()
        await page.locator("#dead-1").wait_for()


async def test_without_a_worker_the_event_waits_and_the_page_says_so(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app, workers=0) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send") as page,
    ):
        await written(page, '{"ticket": "T1"}')
        await sent(page)
        await page.get_by_text("no worker is running").first.wait_for()
        assert "waits" in await page.locator("#notice").inner_text()


async def test_a_subject_of_the_server_is_refused(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send?other", allow=("422",)) as page,
    ):
        await page.get_by_label("Subject", exact=True).fill("$JS.API.STREAM.DELETE.RUNS")
        await written(page, "{}")
        await sent(page)
        await page.get_by_text("It was not sent.").wait_for()
        assert "the server's own" in await page.locator("#notice").inner_text()


async def test_the_command_is_shown_quoted_for_a_shell(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, "/send?other") as page,
    ):
        await page.get_by_label("Subject", exact=True).fill("desk.opened")
        await written(page, """{"ticket": "it's $(rm)"}""", "e 1")
        await page.get_by_role("button", name="Show the command").click()
        shown = page.locator("#cli-layby")
        await shown.get_by_text("desk.opened").wait_for()
        said = await shown.inner_text()
        assert said == """layby send desk.opened '{"ticket":"it'"'"'s $(rm)"}' --id 'e 1'"""
        async with Client.connect(rt.settings) as client:
            assert await client.runs() == [], "it was not sent"


async def test_a_viewer_may_not_send(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings, read_only=True) as console,
        tab(console, "/send") as page,
    ):
        assert await page.get_by_role("button", name="Send and open the run").count() == 0
        await page.get_by_text("You may not send events.").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_a_phone_and_axe_finds_nothing(
    layby_running: Any, tab: OpenPage, scheme: str
) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, color_scheme=scheme, viewport={"width": 360, "height": 800}) as page,
    ):
        await rt.send("desk.opened", {"ticket": "T" * 200})
        await rt.question()
        await eventually(lambda: console.console.tally.runs == 1)
        for path in ("/send", "/send?other", "/send?workflow=open_ticket"):
            await page.goto(f"{console.url}{path}")
            await check_axe(page)
            wide = "document.documentElement.scrollWidth - innerWidth"
            assert await page.evaluate(wide) <= 0, path
