"""Several runs are cancelled or retried at once: what is meant is asked, and each result told."""

from __future__ import annotations

from typing import Any

import pytest

from layby import App, Step
from layby.client import Client
from tests.fix_browser import OpenPage, check_axe, console_on
from tests.fix_nats import eventually

pytestmark = [pytest.mark.nats, pytest.mark.slow]

app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?")).text


@app.workflow(on="desk.job", key="ticket")
async def job(event: dict[str, Any], _: Step) -> None:
    if "error" in event:
        raise ValueError(event["error"])


async def waiting(rt: Any, console: Any, *names: str) -> list[str]:
    runs = [await rt.send("desk.opened", {"ticket": name}) for name in names]
    await eventually(
        lambda: console.console.tally.open_by_roles[frozenset({"developer"})] == len(names)
    )
    return runs


async def status(rt: Any, run: str) -> str:
    async with Client.connect(rt.settings) as client:
        return (await client.show(run)).status


async def test_those_that_can_be_cancelled_are_and_the_others_stay(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console, tab(console) as page:
        first, second, third = await waiting(rt, console, "T1", "T2", "T3")
        ended = await rt.send("desk.job", {"ticket": "J1"})
        await page.locator(f"#r-{ended} .st-completed").wait_for()
        for run in (first, second, ended):
            await page.locator(f"#r-{run} input").check()
        await page.get_by_text("3 runs selected").wait_for()
        await page.get_by_role("button", name="Cancel…").click()
        await page.get_by_text("Cancel 2 runs?").wait_for()
        said = await page.locator("main").inner_text()
        assert "J1, job: completed; stays as it is" in said
        assert f"layby cancel {first}" in said
        await check_axe(page)
        await page.get_by_label("Reason").fill("they called")
        await page.get_by_role("button", name="Cancel 2 runs").click()
        await page.get_by_role("heading", name="2 of 2 runs cancelled").wait_for()
        assert [await status(rt, run) for run in (first, second, third, ended)] == [
            "cancelled",
            "cancelled",
            "waiting",
            "completed",
        ]
        async with Client.connect(rt.settings) as client:
            assert {row.why for row in await client.audit()} == {"they called"}
        async with page.expect_navigation():
            await page.get_by_role("link", name="Back to the runs").click()
        assert await page.locator("#runs .st-cancelled").count() == 2


async def test_failed_runs_are_retried_without_a_script(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, java_script_enabled=False) as page,
    ):
        run = await rt.send("desk.job", {"ticket": "J1", "error": "no"})
        await eventually(lambda: console.console.tally.runs == 1)
        while await page.locator("#runs .st-failed").count() == 0:
            await page.goto(console.url)
        await page.locator(f"#r-{run} input").check()
        await page.get_by_role("button", name="Retry…").click()
        await page.get_by_role("button", name="Retry 1 run").click()
        await page.get_by_role("heading", name="1 of 1 run retried").wait_for()
        async with Client.connect(rt.settings) as client:
            assert [row.verb for row in await client.audit()] == ["retry"]


async def test_a_refusal_in_the_meantime_is_shown(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console, tab(console) as page:
        first, second = await waiting(rt, console, "T1", "T2")
        for run in (first, second):
            await page.locator(f"#r-{run} input").check()
        await page.get_by_role("button", name="Cancel…").click()
        await page.get_by_text("Cancel 2 runs?").wait_for()
        await rt.answer("T1", "done", by="ada")
        await rt.result("T1")
        await page.get_by_role("button", name="Cancel 2 runs").click()
        await page.get_by_role("heading", name="1 of 2 runs cancelled").wait_for()
        refused = page.locator(".find .error")
        assert "T1, handle" in await refused.inner_text()
        assert await refused.count() == 1


async def test_without_a_choice_nothing_is_asked(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings) as console,
        tab(console, java_script_enabled=False) as page,
    ):
        await page.get_by_role("button", name="Cancel…").click()
        await page.get_by_role("heading", name="Runs", exact=True).wait_for()


async def test_what_was_selected_stays_so_while_rows_come_and_change(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app) as rt, console_on(rt.settings) as console, tab(console) as page:
        first, _ = await waiting(rt, console, "T1", "T2")
        await page.locator(f"#r-{first} input").check()
        await rt.answer("T2", "done", by="ada")
        new = await rt.send("desk.job", {"ticket": "J1"})
        await page.locator(f"#r-{new} .st-completed").wait_for()
        assert await page.locator(f"#r-{first} input").is_checked()
        await page.get_by_text("1 run selected").wait_for()


async def test_a_viewer_sees_no_boxes_and_may_do_nothing(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app) as rt,
        console_on(rt.settings, read_only=True) as console,
        tab(console, allow=("403",)) as page,
    ):
        [run] = await waiting(rt, console, "T1")
        await page.locator(f"#r-{run}").wait_for()
        assert await page.locator("#runs input").count() == 0
        code = await page.evaluate(
            """async run => {
                const token = document.querySelector("[name=form_token]").value;
                const body = new URLSearchParams({form_token: token, do: "cancel", run});
                return (await fetch("/runs/do", {method: "POST", body})).status;
            }""",
            run,
        )
        assert code == 403
        assert await status(rt, run) == "waiting"
