"""Never run: what type checkers are told of a network's state and its routers, and of a client."""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from layby import Agent, Candidate, Done, Network, Route, RoutingAgent
from layby.client import Client
from layby.client.handle import Run
from layby.views.rows import RunDetail, RunRow


@dataclass
class Ticket:
    title: str = ""
    done: bool = False


@dataclass
class Order:
    number: int = 0


helper = Agent("Helper")


def by_ticket(route: Route[Ticket]) -> Agent | Done:
    assert_type(route.state, Ticket)
    assert_type(route.state.title, str)
    route.state.titel  # type: ignore[attr-defined]  # noqa: B018
    route.input = ""  # type: ignore[misc]
    return Done("done") if route.state.done else helper


async def by_anything(route: Route[Any]) -> str:
    return route.input


def by_dict(route: Route) -> None:
    assert_type(route.state, dict[str, Any])


def by_order(route: Route[Order]) -> Candidate | Agent:
    return route.agents["Helper"] if route.state.number else helper


tickets = Network("tickets", agents=[helper], state=Ticket, router=by_ticket)
assert_type(tickets, Network[Ticket])
assert_type(tickets.state, type[Ticket] | None)
plain = Network("plain", agents=[helper], router=by_dict)
assert_type(plain, Network[dict[str, Any]])
Network("any", agents=[helper, tickets], state=Ticket, router=by_anything)
Network("rules", agents=[helper], state=Ticket, router=RoutingAgent("r", rules=[by_ticket]))
Network("lambda", agents=[helper], state=Ticket, router=lambda route: Done(route.state.title))
wrong: Network[Ticket] = Network("wrong", agents=[helper], state=Ticket, router=by_order)  # type: ignore[arg-type]
other: Network[Order] = tickets  # type: ignore[assignment]
Network("positional", [helper])  # type: ignore[call-arg]
Network("agents", agents=["Helper"])  # type: ignore[list-item]
Network("max", agents=[helper], max_turns="3")  # type: ignore[arg-type]
tickets.name = "other"  # type: ignore[misc]


async def of_a_client(client: Client) -> None:
    assert_type(client.run("r"), Run)
    assert_type(await client.show("r"), RunDetail)
    assert_type(await client.cancel("r", by="ada"), RunRow)
    sent = await client.send("a.b", {"id": 1})
    assert_type(sent.stream, str)
    await client.send("a.b")  # type: ignore[call-arg]
    await client.cancel()  # type: ignore[call-arg]
    await client.show(3)  # type: ignore[arg-type]
