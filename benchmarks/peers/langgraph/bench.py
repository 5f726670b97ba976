"""The workload as LangGraph graphs, and its caller in the same process. Runs in the peer's venv."""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false
# mypy: ignore-errors

from __future__ import annotations

import asyncio
import os
import sys
from typing import TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from ...drive import Board
from ...sizes import BY_WORD
from ..workload import steps, tell, ticket

_BLOB = "x" * 1_000


class Ticket(TypedDict, total=False):
    """What a run knows."""

    ticket: str
    details: dict
    team: str
    answer: str
    said: str


class Row(TypedDict):
    """How many steps are left."""

    left: int


async def look_up(state: Ticket) -> dict:
    """Stand for a database."""
    return {"details": {"ticket": state["ticket"], "blob": _BLOB}}


async def route(state: Ticket) -> dict:
    """Stand for a model that routes."""
    return {"team": "technical" if state["details"]["blob"] else "customer"}


async def ask(state: Ticket) -> dict:
    """Wait for a person."""
    return {"answer": interrupt(f"What about {state['ticket']}?")}


async def resolve(state: Ticket) -> dict:
    """Stand for the work after the answer."""
    return {"said": f"resolved: {state['answer']}"}


async def nothing(state: Row) -> dict:
    """Stand for any step."""
    return {"left": state["left"] - 1}


class LangGraphDesk:
    """Tickets as threads of a graph."""

    def __init__(self, saver: AsyncPostgresSaver) -> None:
        graph = StateGraph(Ticket)
        for node in (look_up, route, ask, resolve):
            graph.add_node(node.__name__, node)
        for edge in ((START, "look_up"), ("look_up", "route"), ("route", "ask")):
            graph.add_edge(*edge)
        graph.add_edge("ask", "resolve")
        graph.add_edge("resolve", END)
        self._ticket = graph.compile(checkpointer=saver)
        row = StateGraph(Row)
        row.add_node("nothing", nothing)
        row.add_edge(START, "nothing")
        row.add_conditional_edges("nothing", lambda state: "nothing" if state["left"] else END)
        self._row = row.compile(checkpointer=saver)
        self._ended = Board()

    async def open(self, ticket: str) -> None:
        """Run until the graph is interrupted: then it is parked."""
        await self._ticket.ainvoke({"ticket": ticket}, _thread(ticket), durability="sync")

    async def parked(self, ticket: str) -> None:
        """Nothing: `open` has returned when it is."""

    async def answer(self, ticket: str) -> None:
        """Resume it, until it is completed."""
        await self._ticket.ainvoke(Command(resume="do it"), _thread(ticket), durability="sync")
        self._ended.note(ticket)

    async def ended(self, ticket: str) -> None:
        """Wait until `answer` has returned."""
        await self._ended.come(ticket)

    async def steps(self, name: str, count: int) -> None:
        """Run a row of steps."""
        await self._row.ainvoke({"left": count}, _thread(name), durability="sync")


def _thread(name: str) -> dict:
    return {"configurable": {"thread_id": name}, "recursion_limit": 1_100}


async def main() -> None:
    """Run the workloads, tell the figures."""
    url, server, word, *workloads = sys.argv[1:]
    pids = {"server": int(server), "worker and driver": os.getpid()}
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    found = {}
    async with AsyncConnectionPool(url, max_size=16, kwargs=options, open=False) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        desk = LangGraphDesk(saver)
        if "ticket" in workloads:
            found["ticket"] = await ticket(desk, BY_WORD[word], pids)
        if "steps" in workloads:
            found["steps"] = await steps(desk.steps, BY_WORD[word])
    tell(found)


asyncio.run(main())
