"""A ladder in the console: how far it has come, and for whom a question is now."""

from __future__ import annotations

from typing import Any

import pytest

from layby import App, Role, Rung, Step
from tests.acceptance.test_console_guard import Visitor
from tests.acceptance.test_console_proxy import PROXY, WITHIN
from tests.engine import until
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats


def desk() -> App:
    boss = Role("boss", remind=["3h"], escalate=[Rung("300ms", to="role:lead")])
    app = App("desk", roles=[boss, "lead"])

    @app.workflow(on="ticket.created", key="ticket", name="desk")
    async def work(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("boss", "Who pays?", to="person:ada")).text

    return app


async def test_people_asked_by_an_escalation_see_the_question_and_its_ladder(
    layby_running: Any,
) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, auth="proxy", proxy=PROXY) as serving,
    ):
        visitor = Visitor(serving)
        run = await rt.send("ticket.created", {"ticket": "T1"})

        async def escalated() -> Any:
            rows = await serving.console.catalogue.questions()
            return next((row for row in rows if "lead" in row.roles), None)

        row = await until(escalated, WITHIN)
        page = await visitor.ask("GET", f"/inbox/{row.id}", X_Forwarded_User="carl")
        assert page.status == 200, "they have the role lead"
        for text in ("Meant for", "ada", "asks role:lead too", "reminder", "(to come)"):
            assert text in page.body
        page = await visitor.ask("GET", f"/runs/{run}", X_Forwarded_User="ann")
        assert "Asks role:lead too" in page.body
        assert "Reminder" in page.body
        assert "Question to boss and lead" in page.body
