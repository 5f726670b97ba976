"""An app that asks once in Slack and by mail how much to pay back, and pays it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from layby import App, Role, Step
from layby.channels import email, slack

SLACK = "LAYBY_TEST_RACE_SLACK"
"""Where Slack's Web API is."""
LEDGER = "LAYBY_TEST_RACE_LEDGER"
"""The file of the payment provider."""

_URL = os.environ.get(SLACK, "http://127.0.0.1:1/api/")

app = App(
    "racing",
    roles=[
        Role(
            "developer",
            people=["ada", "bob", "cleo"],
            channels=[
                slack("#oncall", people={"U0ADA": "ada"}, base_url=_URL),
                email(people={"bob": "bob@acme.example"}),
            ],
        )
    ],
    ack_wait="2s",
)


def pay_back(key: str, amount: str) -> str:
    """Have the provider pay; it pays once for each idempotency key, and notes every request."""
    with Path(os.environ[LEDGER]).open("a") as ledger:
        ledger.write(json.dumps([key, amount]) + "\n")
    return f"paid back: {amount}"


@app.workflow(on="racing.refund.requested", key="ticket", name="refund")
async def refund(event: dict[str, Any], step: Step) -> dict[str, Any]:
    """Ask, and pay back what the answer says."""
    question = f"Pay {event['amount']} back?"
    sure = await step.ask("developer", question, answer=Literal["all", "half", "nothing"])
    paid = await step.run("pay back", pay_back, step.idempotency_key("pay back"), sure.value)
    return {"paid": paid, "by": sure.by, "vouched": sure.vouched}
