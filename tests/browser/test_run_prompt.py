"""What a model was sent is shown on the page of its run, exactly."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Agent, App, Network, Route, Step, tool
from layby.models import anthropic
from tests.fix_browser import OpenPage, console_on
from tests.fix_messages import call

pytestmark = [pytest.mark.nats, pytest.mark.slow]


@tool
async def search(keyword: str) -> str:
    """Search the release notes."""
    return f"v1.1.4 mentions {keyword}"


def once(route: Route) -> str | None:
    """Let the one agent take one turn."""
    return None if route.turns else "Technical Support"


async def test_the_prompt_of_a_call_is_shown_and_what_is_new_in_it(
    layby_running: Any, messages_api: Any, tab: OpenPage
) -> None:
    messages_api.reply(call("search", {"keyword": "avatar"}))
    messages_api.reply("It is fixed.")
    model = anthropic("claude-haiku-4-5", base_url=messages_api.url, api_key="x")
    agent = Agent(
        "Technical Support", system="Be brief, <b>always</b>.", tools=[search], model=model
    )
    network = Network("support", agents=[agent], router=once)
    app = App("desk", networks=[network])

    @app.workflow(on="desk.opened", key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.network(network, f"What about {event['ticket']}?")).text

    async with layby_running(app) as rt, console_on(rt.settings) as console:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await rt.result()
        async with tab(console, f"/runs/{run}") as page:
            calls = page.locator("#wf tr", has_text="claude-haiku-4-5")
            await calls.nth(1).get_by_role("link").first.click()
            detail = page.locator("#detail")
            await detail.get_by_text("Prompt, exactly as sent").wait_for()
            await detail.get_by_text("v1.1.4 mentions avatar").first.wait_for()
            assert "3 messages" in await detail.inner_text()
            await detail.locator("summary", has_text="System").first.click()
            await detail.get_by_text("Be brief, <b>always</b>.").wait_for()
            await detail.get_by_text("What about T1?").first.wait_for()
