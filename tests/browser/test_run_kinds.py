"""Runs that are blocked, encrypted or erased, and runs of others, on their pages."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Agent, App, Keyring, Network, Route, Step
from layby.bus.keyring import new_key
from layby.bus.log import Log
from layby.bus.log_subject import NOBODY
from layby.bus.opened import opened
from layby.runtime.entry import NULL, ROOT, Answered, Asked, Record, Started
from layby.runtime.envelope import Envelope, encode
from layby.runtime.ids import run_id
from layby.runtime.vouching import Signers
from tests.fix_browser import OpenPage, check_axe, console_on
from tests.signing_desk import APPROVER

pytestmark = [pytest.mark.nats, pytest.mark.slow]

CANARY = "zq7canary"
family = App("family")


@family.workflow(on="family.opened", key="ticket")
async def parent(event: dict[str, Any], step: Step) -> str:
    return str(await step.workflow("child", event))


@family.workflow(on="family.child", key="ticket", name="child")
async def child(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"And {event['ticket']}?")).text


def keyring() -> Keyring:
    return Keyring(dict([new_key("k1").split(":", 1)]))


def sealed(ring: Keyring) -> App:
    """An app that encrypts what it keeps."""
    app = App("vault", encryption=ring)

    @app.workflow(on="vault.opened", key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> str:
        await step.run("note", _note, event["text"])
        return (await step.ask("developer", "Well?", confidential=True)).text

    return app


async def _note(text: str) -> str:
    return f"noted {text}"


def once(route: Route) -> str | None:
    """Let the one agent take one turn."""
    return None if route.turns else "Ann"


async def test_a_blocked_run_says_what_people_can_do(layby_running: Any, tab: OpenPage) -> None:
    network = Network("support", agents=[Agent("Ann", system="")], router=once)
    app = App("desk", networks=[network])

    @app.workflow(on="desk.opened", key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.network(network, f"Greet {event['ticket']}.")).text

    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        async with tab(console, f"/runs/{run}") as page:
            banner = page.locator("#run-banner")
            await banner.get_by_text("blocked: setup").wait_for()
            await banner.get_by_text("has no model").wait_for()
            await banner.get_by_text("default_model").first.wait_for()
            await page.locator("#run-head .st-blocked").wait_for()
            assert await page.get_by_role("button", name="Retry…").is_enabled()
            await page.locator("#wf tr", has_text="Ann").get_by_role("link").last.click()
            await page.locator("#detail #d-error", has_text="has no model").wait_for()
            assert await page.locator("#wf tr", has_text="running").count() == 0
            await check_axe(page)


async def test_an_encrypted_run_is_shown_only_where_the_key_is(
    layby_running: Any, tab: OpenPage
) -> None:
    ring = keyring()
    async with layby_running(sealed(ring)) as rt:
        run = await rt.send("vault.opened", {"ticket": "T1", "text": CANARY})
        await rt.question()
        async with (
            console_on(rt.settings, keyring=ring) as trusted,
            tab(trusted, f"/runs/{run}") as page,
        ):
            await page.locator("#wf tr", has_text="note").get_by_role("link").first.click()
            await page.locator("#detail", has_text=f"noted {CANARY}").wait_for()
        async with (
            console_on(rt.settings) as stranger,
            tab(stranger, f"/runs/{run}") as page,
        ):
            await page.locator("#closed", has_text="This run is encrypted.").wait_for()
            await page.get_by_text("human-developer").first.wait_for()
            assert CANARY not in await page.content()
            await check_axe(page)


async def test_an_erased_run_is_gone_from_the_pages_that_show_it(
    layby_running: Any, tab: OpenPage
) -> None:
    ring = keyring()
    async with layby_running(sealed(ring)) as rt:
        run = await rt.send("vault.opened", {"ticket": "T1", "text": CANARY})
        await rt.question()
        async with (
            console_on(rt.settings, keyring=ring) as console,
            tab(console, f"/runs/{run}") as page,
        ):
            await page.locator("#wf tr", has_text="note").get_by_role("link").first.click()
            await page.locator("#detail", has_text=f"noted {CANARY}").wait_for()
            assert await rt.client.erase_run("vault", run, by="dpo")
            await page.locator("#closed", has_text="This run was erased.").wait_for()
            assert CANARY not in await page.content()


async def test_an_answer_with_a_key_that_does_not_count_leaves_the_run_waiting(
    layby_running: Any, tab: OpenPage
) -> None:
    records: list[Record] = [
        Started(workflow="pay", actor="workflow-pay", version="1", ticket="T1", event=NULL),
        Asked(frame=ROOT, key="ask", id="q1", role="approver", question="Well?", deadline=2e9),
        Answered(id="q1", text="yes", by="eve", at=1.0, seq=1),
    ]
    run = run_id("pay", "one")
    async with layby_running(family) as rt:
        async with opened(rt.settings) as bus:
            for n, record in enumerate(records, 1):
                data = encode(Envelope(op=f"{n}", at=float(n), records=[record]))
                await Log(bus.requests).append(run, n, NOBODY, data)
        async with (
            console_on(rt.settings, signers=Signers([APPROVER])) as strict,
            tab(strict, f"/runs/{run}") as page,
        ):
            await page.locator("#run-head", has_text="waiting for approver").wait_for()
            await page.locator("#threads", has_text="takes signed answers only").wait_for()
        async with console_on(rt.settings) as lax, tab(lax, f"/runs/{run}") as page:
            await page.locator("#threads", has_text="answered by eve").wait_for()


async def test_a_child_run_is_a_link_and_leads_back(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(family) as rt, console_on(rt.settings) as console:
        run = await rt.send("family.opened", {"ticket": "T1"})
        async with tab(console, f"/runs/{run}") as page:
            await page.get_by_role("link", name="Open the child run").click()
            await page.locator("#wait", has_text="And T1?").wait_for()
            inner = page.url.rpartition("/")[2]
            assert inner != run
            await page.locator("#facts").get_by_role("link", name=run[:8]).click()
            await page.locator("#facts", has_text="Child runs").wait_for()
            await page.locator("#wf tr", has_text="child run").get_by_role("link").first.click()
            await page.locator("#detail").get_by_role("link", name=inner).wait_for()
