"""Tools that other servers list, and the choices of a router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from layby import tool
from layby.actors.agents.route import Route
from layby.actors.networks.router import Done, RouterError, RoutingAgent, decision_of
from layby.actors.threads.turn import Decision, TurnResult
from layby.runtime.errors import InvalidSetup
from layby.tools.source import AnyTool, ToolSource, close, listed, own, sources


@tool
def look() -> None: ...


@tool
def read() -> None: ...


@tool(name="done")
def clash() -> None: ...


class Desk:
    """A source with these tools, which may fail to close."""

    name = "desk"

    def __init__(self, *tools: AnyTool, broken: bool = False) -> None:
        self.tools = tools
        self.broken = broken
        self.closed = 0

    async def list_tools(self) -> Sequence[AnyTool]:
        """Its tools."""
        return self.tools

    async def aclose(self) -> None:
        """Count, and fail if it is broken."""
        self.closed += 1
        if self.broken:
            raise OSError("gone")


async def test_tools_of_sources_are_listed_in_their_places() -> None:
    desk = Desk(read)
    given: list[AnyTool | ToolSource] = [desk, look]
    assert await listed(given) == [read, look]
    assert own(given) == [look]
    assert sources(given) == [desk]
    assert await listed([]) == []


async def test_two_tools_of_one_name_are_refused_wherever_they_come_from() -> None:
    pairs: list[list[AnyTool | ToolSource]] = [
        [look, look],
        [look, Desk(look)],
        [Desk(read), Desk(read)],
    ]
    for given in pairs:
        with pytest.raises(InvalidSetup, match=r"two of an agent's tools are named '(look|read)'"):
            await listed(given)


async def test_each_source_is_closed_once_even_if_another_fails() -> None:
    broken, fine = Desk(broken=True), Desk()
    await close([broken, fine, broken, fine])
    assert (broken.closed, fine.closed) == (1, 1)


# -- routers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    name: str
    description: str = ""


ANNA, BEN = Member("Anna"), Member("Ben")


def route(*turns: TurnResult) -> Route[Any]:
    return Route(input="x", turns=list(turns), agents={"Anna": ANNA, "Ben": BEN}, state={})


@pytest.mark.parametrize(
    ("choice", "agents"),
    [
        (None, []),
        ("Anna", ["Anna"]),
        (BEN, ["Ben"]),
        ([BEN, "Anna"], ["Ben", "Anna"]),
        ((ANNA,), ["Anna"]),
        ([], []),
    ],
)
def test_a_router_may_choose_agents_by_name_or_as_they_are(choice: Any, agents: list[str]) -> None:
    assert decision_of(choice, route(), by="rule") == Decision(agents=agents, by="rule")


def test_a_router_may_say_that_the_work_is_done() -> None:
    found = decision_of(Done("all paid"), route(), by="code")
    assert found == Decision(summary="all paid", by="code")


@pytest.mark.parametrize("choice", ["Eve", Member("Eve"), 7, ["Anna", "Eve"], object(), [None]])
def test_a_router_that_chooses_somebody_else_is_told_who_there_is(choice: Any) -> None:
    with pytest.raises(RouterError, match="which is not in the network; the agents are: Anna, Ben"):
        decision_of(choice, route(), by="rule")


def test_a_route_knows_the_latest_turn_and_what_was_called() -> None:
    first, last = TurnResult(agent="Anna", text="a"), TurnResult(agent="Ben", text="b")
    assert route().last is None
    assert route(first, last).last == last
    assert not route(first, last).called("look")


def test_a_routing_agents_own_tools_have_other_names() -> None:
    assert RoutingAgent("R", tools=[look]).name == "R"
    with pytest.raises(InvalidSetup, match="'R' already has route_to_agent and done; rename your"):
        RoutingAgent("R", tools=[look, clash])
