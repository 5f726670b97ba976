"""The app under test: what a user would write, without any work of its own in it."""

from __future__ import annotations

import os

from pydantic import BaseModel

from layby import Agent, App, Done, Keyring, Network, Route, RoutingAgent, Step, tool, tool_called
from layby.tools import ask_developer

from .script import AGENT, Script

TICKET = "bench.ticket.opened"
STEPS = "bench.steps.started"
NETWORK = "bench.network.opened"
LOG_STREAMS = "LAYBY_BENCH_LOG_STREAMS"
"""Environment variable: over how many streams the logs are split."""
BULK = "LAYBY_BENCH_BULK"
"""Environment variable: how many characters the database knows of a ticket."""
KEYS = "LAYBY_BENCH_KEYS"
"""Environment variable: a keyring; the app is encrypted where it is there."""
PROMPTS = "LAYBY_BENCH_PROMPTS"
"""Environment variable: `0` records no prompts."""
_BLOB = "x" * 1_000
_KNOWN = "x" * int(os.environ.get(BULK, "1000"))


@tool
async def search(keyword: str) -> dict[str, str]:
    """Search the release notes."""
    return {"keyword": keyword, "blob": _BLOB}


@tool
async def reply(message: str) -> str:
    """Reply to the customer."""
    return f"sent: {message}"


def replied(route: Route) -> Done | None:
    """Say that the work is done once the customer has a reply."""
    return Done("The customer has a reply.") if route.called("reply") else None


agent = Agent(
    AGENT,
    description="Knows the product.",
    system="Solve the ticket.",
    tools=[search, ask_developer, reply],
    stop_when=[tool_called("reply")],
)
support = Network(
    "bench",
    agents=[agent],
    router=RoutingAgent("Supervisor", system="Route the ticket.", rules=[replied]),
    default_model=Script(),
)
app = App(
    "bench",
    networks=[support],
    log_streams=int(os.environ.get(LOG_STREAMS, "1")),
    encryption=Keyring.from_env(KEYS) if KEYS in os.environ else None,
    record_prompts=os.environ.get(PROMPTS) != "0",
)


class Opened(BaseModel):
    """A ticket was opened."""

    ticket: str


class Started(BaseModel):
    """A row of steps is to be run."""

    ticket: str
    steps: int


async def look_up(ticket: str) -> dict[str, str]:
    """Stand for a database: 1 KB about the ticket."""
    return {"ticket": ticket, "blob": _KNOWN}


async def route(details: dict[str, str]) -> str:
    """Stand for a model that routes."""
    return "technical" if details["blob"] else "customer"


async def resolve(answer: str) -> str:
    """Stand for the work after the answer."""
    return f"resolved: {answer}"


async def nothing() -> None:
    """Stand for any step."""


@app.workflow(on=TICKET, key="ticket")
async def ticket(event: Opened, step: Step) -> dict[str, str]:
    """Look up, route, ask a person, resolve."""
    details = await step.run("look_up", look_up, event.ticket)
    team = await step.run("route", route, details)
    answer = await step.ask("developer", f"What about {event.ticket}?", context=team)
    said = await step.run("resolve", resolve, answer.text)
    return {"ticket": event.ticket, "said": said}


@app.workflow(on=STEPS, key="ticket")
async def steps(event: Started, step: Step) -> dict[str, str]:
    """Run one step after another."""
    for _ in range(event.steps):
        await step.run("nothing", nothing)
    return {"ticket": event.ticket}


@app.workflow(on=NETWORK, key="ticket")
async def network(event: Opened, step: Step) -> dict[str, str]:
    """Let the network work on the ticket."""
    result = await step.network(support, f"Ticket {event.ticket}: it crashes. {_BLOB}")
    return {"ticket": event.ticket, "turns": str(len(result.turns))}
