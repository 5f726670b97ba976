"""The link from a run back to the list it was opened from, over real HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

from layby import App, Step
from layby.console.pages import way_back
from tests.acceptance.test_console_guard import FORM, Reply, Visitor
from tests.engine import until
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats
app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?")).text


class Reader(Visitor):
    """Opens the pages of runs."""

    runs: tuple[str, ...] = ()

    async def open(self, run: str, referer: str = "") -> Reply:
        """The page of a run, opened from another page."""
        if referer:
            return await self.ask("GET", f"/runs/{run}", Referer=referer)
        return await self.ask("GET", f"/runs/{run}")

    async def post(self, path: str, referer: str, **fields: str) -> str:
        """The page that a form leads to."""
        home = await self.ask("GET", "/")
        token = re.findall(r'name="form_token" value="([\w-]+)"', home.body)[0]
        body = urlencode({**fields, "form_token": token}).encode()
        return (await self.ask("POST", path, body, Content_Type=FORM, Referer=referer)).body

    async def back(self, run: str, referer: str = "") -> str:
        """Where the page of a run leads back to."""
        page = await self.open(run, referer)
        assert page.status == 200, page.body
        found: list[str] = re.findall(r'aria-label="Breadcrumb"><a href="([^"]*)"', page.body)
        return found[0]


@pytest.fixture
async def reader(layby_running: Any) -> AsyncIterator[Reader]:
    async with layby_running(app) as rt, console_on(rt.settings) as serving:
        reader = Reader(serving)
        await reader.enter()
        reader.runs = tuple([await rt.send("desk.opened", {"ticket": f"T{n}"}) for n in range(3)])
        for run in reader.runs:
            await until(partial(serving.console.catalogue.run, run))
        yield reader


async def test_it_leads_to_the_filter_that_the_run_was_found_with(reader: Reader) -> None:
    run, other, third = reader.runs
    url = reader.serving.url
    assert await reader.back(run, f"{url}/?status=waiting&q=a+b") == "/?status=waiting&amp;q=a+b"
    assert await reader.back(run, f"{url}/runs/{run}?row=x") == "/?status=waiting&amp;q=a+b"
    assert await reader.back(other, f"{url}/runs/{run}") == "/?status=waiting&amp;q=a+b"
    assert await reader.back(third) == "/"
    assert await reader.back(run, f"{url}/") == "/"


async def test_what_is_done_to_several_leads_back_to_it_too(reader: Reader) -> None:
    url, run = reader.serving.url, reader.runs[0]
    asked = await reader.post("/runs/confirm", f"{url}/?q=T0", do="retry", run=run)
    assert 'href="/?q=T0" data-close' in asked
    done = await reader.post("/runs/do", f"{url}/runs/confirm", do="retry", run=run)
    assert 'href="/?q=T0">Back to the runs' in done


@pytest.mark.parametrize(
    "referer",
    [
        "https://evil.example/?status=failed",
        "http://127.0.0.1:1/?status=failed",
        "javascript:alert(1)",
        "http://[/?status=failed",
        "/?status=failed",
        "x" * 8_000,
    ],
)
async def test_another_site_has_no_say_in_it(reader: Reader, referer: str) -> None:
    assert await reader.back(reader.runs[0], referer) == "/"


async def test_a_query_that_is_not_a_filter_is_left_out(reader: Reader) -> None:
    url = reader.serving.url
    assert await reader.back(reader.runs[0], f'{url}/?x="><script>&q=%22%3E') == "/?q=%22%3E"
    assert await reader.back(reader.runs[0], f"{url}/?q={'y' * 3_000}") == "/"


async def test_somebody_else_goes_back_to_all_runs(reader: Reader) -> None:
    run = reader.runs[0]
    await reader.back(run, f"{reader.serving.url}/?status=waiting")
    other = Reader(reader.serving)
    await other.enter()
    assert await other.back(run) == "/"


async def test_the_filters_of_old_pages_are_forgotten(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_back, "_MOST", 2)
    for run in reader.runs:
        await reader.back(run, f"{reader.serving.url}/?q=x")
    assert [await reader.back(run) for run in reader.runs] == ["/", "/?q=x", "/?q=x"]
