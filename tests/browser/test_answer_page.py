"""The page that a link in a mail opens, in a real browser: without a login, and without scripts."""

from __future__ import annotations

import time
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from layby import App, Step
from layby.actors.people.answer_link import AnswerLink, LinkKeys
from tests.engine import until
from tests.fix_browser import OpenPage, check_axe, console_on

KEYS = LinkKeys("k" * 32)
WITHIN = 30.0


class Fix(BaseModel):
    """What to do."""

    version: str
    when: Literal["now", "later"]


def desk() -> App:
    app = App("desk")

    @app.workflow(on="ticket.created", key="ticket", name="desk")
    async def work(event: dict[str, Any], step: Step) -> Any:
        asked = f"What about <script>alert(1)</script> in {event['ticket']}?"
        answer = await step.ask("developer", asked, context="It is urgent.", answer=Fix)
        return {"by": answer.by, **answer.value.model_dump()}

    return app


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_link_from_another_site_is_answered_by_its_button(
    layby_running: Any, tab: OpenPage, *, scripts: bool
) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, links=KEYS) as console,
        tab(console, java_script_enabled=scripts, allow=("422",)) as page,
    ):
        await rt.send("ticket.created", {"ticket": "T1"})
        [row] = await until(lambda: rt.client.questions(ticket="T1"), WITHIN)
        link = AnswerLink(
            question=row.id,
            role=row.role,
            ticket="T1",
            digest="",
            person="ada",
            act="open",
            until=int(time.time()) + 600,
        )
        await page.context.clear_cookies()
        await page.goto(f"{console.url}/answer/{KEYS.token(link)}", referer="https://mail.example/")
        assert await page.get_by_text("You answer as ada for developer.").is_visible()
        if scripts:
            await check_axe(page)
        await page.get_by_label("version").fill("v1.1.4")
        await page.get_by_role("button", name="Answer").click()
        await page.locator(".err").first.wait_for()  # `when` is missing
        await page.get_by_label("when").select_option(label="later")
        await page.get_by_role("button", name="Answer").click()
        await page.get_by_text("Your answer counts").wait_for()
        if scripts:
            await check_axe(page)
        assert await rt.result("T1") == {"by": "ada", "version": "v1.1.4", "when": "later"}
