"""The agent that works out a refund. It may look at orders; paying back needs people."""

from __future__ import annotations

import os
from typing import Annotated, Any

from layby import Agent, Approvers, ToolContext, tool
from layby.models import Model, anthropic

from .books import Books
from .offline import offline

FREE = 5_000
"""Cents up to which nobody needs to approve a refund."""
Order = Annotated[str, "The order's number, such as A17"]


def default_model() -> Model:
    """Claude if ANTHROPIC_API_KEY is set, else a scripted model."""
    return anthropic("claude-sonnet-4-6") if os.environ.get("ANTHROPIC_API_KEY") else offline


def approvers(ctx: ToolContext[Any], arguments: dict[str, Any]) -> bool | Approvers:
    """One of finance and one of legal, and not who asked for it; nobody for a small sum."""
    if int(arguments["cents"]) <= FREE:
        return False
    return Approvers(groups={"finance": 1, "legal": 1}, veto=True, exclude=[ctx.state["clerk"]])


@tool
def look_up(order: Order) -> str:
    """Look at an order: what was paid for it, and for what."""
    return Books.from_env().order(order)


@tool(needs_approval=approvers, approval_timeout="10m")
def refund(
    ctx: ToolContext[Any], order: Order, cents: Annotated[int, "How much to pay back, in cents"]
) -> str:
    """Pay money back for an order."""
    Books.from_env().pay_back(order, cents, key=ctx.idempotency_key)
    return f"{cents / 100:.2f} EUR were paid back for {order}."


clerk = Agent(
    "Refunds",
    description="Works out refunds.",
    system=(
        "A customer wants money back. Look at the order, and refund what they are owed, never more "
        "than they paid. If a refund is not approved, do not propose it again: say in one sentence "
        "why. End with one sentence for the customer."
    ),
    tools=[look_up, refund],
    model=default_model(),
    max_steps=6,
)
