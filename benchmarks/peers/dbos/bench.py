"""The workload as DBOS workflows, and its caller in the same process. Runs in the peer's venv."""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false
# mypy: ignore-errors

from __future__ import annotations

import asyncio
import os
import sys

from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowHandleAsync

from ...drive import Board
from ...sizes import BY_WORD
from ..workload import steps, tell, ticket

_BLOB = "x" * 1_000
_HOURS = 3_600.0
_asked = Board()


@DBOS.step()
async def look_up(name: str) -> dict:
    """Stand for a database."""
    return {"ticket": name, "blob": _BLOB}


@DBOS.step()
async def route(details: dict) -> str:
    """Stand for a model that routes."""
    return "technical" if details["blob"] else "customer"


@DBOS.step()
async def ask(name: str) -> None:
    """Publish the question."""
    _asked.note(name)


@DBOS.step()
async def resolve(answer: str) -> str:
    """Stand for the work after the answer."""
    return f"resolved: {answer}"


@DBOS.step()
async def nothing() -> None:
    """Stand for any step."""


@DBOS.workflow()
async def run(name: str) -> dict:
    """Look up, route, ask a person, resolve."""
    team = await route(await look_up(name))
    await ask(name)
    answer = await DBOS.recv_async("answer", timeout_seconds=4 * _HOURS)
    return {"ticket": name, "team": team, "said": await resolve(answer)}


@DBOS.workflow()
async def row(count: int) -> None:
    """One step after another."""
    for _ in range(count):
        await nothing()


class DbosDesk:
    """Tickets as workflows."""

    def __init__(self) -> None:
        self._handles: dict[str, WorkflowHandleAsync] = {}

    async def open(self, ticket: str) -> None:
        """Start the workflow."""
        with SetWorkflowID(ticket):
            self._handles[ticket] = await DBOS.start_workflow_async(run, ticket)

    async def parked(self, ticket: str) -> None:
        """Wait until the question is published."""
        await _asked.come(ticket)

    async def answer(self, ticket: str) -> None:
        """Send the answer."""
        await DBOS.send_async(ticket, "do it", topic="answer")

    async def ended(self, ticket: str) -> None:
        """Wait for the result."""
        await self._handles.pop(ticket).get_result()

    async def steps(self, name: str, count: int) -> None:
        """Run a row of steps."""
        with SetWorkflowID(name):
            handle = await DBOS.start_workflow_async(row, count)
        await handle.get_result()


async def main() -> None:
    """Run the workloads, tell the figures."""
    url, server, word, *workloads = sys.argv[1:]
    pids = {"server": int(server), "worker and driver": os.getpid()}
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "max_executor_threads": 32,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    desk = DbosDesk()
    found = {}
    if "ticket" in workloads:
        found["ticket"] = await ticket(desk, BY_WORD[word], pids)
    if "steps" in workloads:
        found["steps"] = await steps(desk.steps, BY_WORD[word])
    tell(found)
    sys.stdout.flush()
    os._exit(0)  # its threads would be waited for


asyncio.run(main())
