"""The app: a customer cancels an order, and an agent does it with an MCP server's tools."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from layby import Agent, App, Network, Route, Step
from layby.models import Model, anthropic
from layby.tools import mcp_server

from .offline import offline

orders = mcp_server(
    "orders",
    command=[sys.executable, str(Path(__file__).with_name("server.py"))],
    role="manager",
)
clerk = Agent(
    "Clerk",
    system=(
        "You handle cancellations. Look the order up first; only open orders can be cancelled. "
        "End with one sentence for the customer."
    ),
    tools=[orders],
)


def default_model() -> Model:
    """Claude if ANTHROPIC_API_KEY is set, else a scripted model."""
    return anthropic("claude-haiku-4-5") if os.environ.get("ANTHROPIC_API_KEY") else offline


def route(route: Route[Any]) -> Agent | None:
    """Give the only agent one turn."""
    return None if route.turns else clerk


desk = Network("desk", agents=[clerk], router=route, default_model=default_model())
app = App("cancellations", networks=[desk], roles=["manager"])


class CancellationWanted(BaseModel):
    """A customer wants to cancel an order."""

    order: str


@app.workflow(on="order.cancellation", key="order")
async def cancel(event: CancellationWanted, step: Step) -> str:
    """Let the clerk handle it; returns the message for the customer."""
    return (await step.network(desk, f"Cancel order {event.order}")).text
