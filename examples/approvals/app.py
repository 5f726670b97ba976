"""The app: a customer wants money back, and two departments decide."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pydantic import BaseModel

from layby import App, Role, Rung, Step
from layby.channels import Channel, email

from .agent import clerk

SECOND = float(os.environ.get("LAYBY_SECOND") or 1)
"""How long a second of the ladders lasts; a test has no time to wait."""
DESK_WITHIN = 120 * SECOND
"""Seconds in which the support desk can word a refusal."""


FINANCE_PEOPLE = ("ada", "bob", "cfo")
LEGAL_PEOPLE = ("dan", "eve")


def mails(role: str, people: Sequence[str]) -> list[Channel]:
    """Mails to a department and its people, if the environment names a mail server."""
    if not os.environ.get("LAYBY_SMTP"):
        return []
    addresses = {name: f"{name}@acme.example" for name in people}
    return [email(f"{role}@acme.example", people=addresses)]


FINANCE = Role(
    "finance",
    people=FINANCE_PEOPLE,
    rota="finance",
    channels=mails("finance", FINANCE_PEOPLE),
    remind=[10 * SECOND, 20 * SECOND],
    escalate=[Rung(30 * SECOND, to="person:cfo")],
)
LEGAL = Role("legal", people=LEGAL_PEOPLE, channels=mails("legal", LEGAL_PEOPLE))
SUPPORT = Role("support", remind=[10 * SECOND], escalate=[Rung(20 * SECOND, to="role:lead")])
app = App("approvals", agents=[clerk], roles=[FINANCE, LEGAL, SUPPORT, "lead"])


class RefundRequested(BaseModel):
    """A customer wants money back."""

    order: str
    clerk: str
    """Who asked for the refund: they have no vote on it."""
    reason: str


class Refund(BaseModel):
    """What became of it."""

    order: str
    refunded: bool
    told: str
    """What the customer is told."""


@app.workflow(on="refund.requested", key="order")
async def refund_order(event: RefundRequested, step: Step) -> Refund:
    """Refund an order if people agree; else have the support desk tell the customer why not."""
    turn = await step.agent(
        clerk, f"{event.order} is to be refunded: {event.reason}", state={"clerk": event.clerk}
    )
    refunded = any(call.name == "refund" and not call.is_error for call in turn.calls)
    if refunded:
        return Refund(order=event.order, refunded=True, told=turn.text)
    answer = await step.ask(
        "support",
        f"The refund of {event.order} was not approved. What do we tell the customer?",
        context=turn.text,
        timeout=DESK_WITHIN,
        default="We cannot refund this order. We will write to you with the reason.",
    )
    return Refund(order=event.order, refunded=False, told=answer.text)
