"""An app that asks in Slack: `LAYBY_TEST_SLACK` says where its Web API is."""

from __future__ import annotations

import os
from typing import Any

from layby import App, Role, Rung
from layby.channels import slack

ADDRESS = "LAYBY_TEST_SLACK"
PEOPLE = {"U0ADA": "ada", "U0BOB": "bob"}


_URL = os.environ.get(ADDRESS, "http://127.0.0.1:1/api/")
ONCALL = slack("#oncall", people=PEOPLE, base_url=_URL)
LEADS = slack("#random", people=PEOPLE, base_url=_URL)

app = App(
    "slackers",
    roles=[
        Role("developer", people=["ada", "bob"], channels=[ONCALL]),
        Role("lead", channels=[LEADS]),
    ],
)


@app.workflow(on="slackers.asked", key="ticket", name="slackers")
async def ask(event: dict[str, Any], step: Any) -> dict[str, Any]:
    """Ask once, as the event says."""
    options: dict[str, Any] = {}
    if event.get("quorum"):
        options |= {"quorum": event["quorum"], "accept": ["nats", "slack"], "answer": bool}
    if event.get("escalate"):
        options |= {"escalate": [Rung(event["escalate"], to="role:lead")]}
    if event.get("remind"):
        options |= {"remind": [event["remind"]], "to": "person:ada"}
    timeout = event.get("timeout", "2h")
    answer = await step.ask("developer", "Known?", timeout=timeout, default=None, **options)
    return {"text": answer.text, "by": answer.by, "vouched": answer.vouched}
