"""The caller of the Restate workflows, over HTTP. Runs in the peer's venv."""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false
# mypy: ignore-errors

from __future__ import annotations

import asyncio
import json
import os
import sys

import aiohttp

from ...drive import Board
from ...sizes import BY_WORD
from ..workload import steps, tell, ticket


class RestateDesk:
    """Tickets at Restate's ingress."""

    def __init__(self, session: aiohttp.ClientSession, ingress: str) -> None:
        self._session = session
        self._ingress = ingress
        self._parked = Board()
        self._questions: dict[str, str] = {}

    async def open(self, ticket: str) -> None:
        """Start the workflow; return when the start is durable."""
        await self._post(f"/ticket/{ticket}/run/send", {"ticket": ticket})

    async def parked(self, ticket: str) -> None:
        """Wait until the service has rung."""
        await self._parked.come(ticket)

    async def answer(self, ticket: str) -> None:
        """Resolve the awakeable."""
        question = self._questions.pop(ticket)
        await self._post(f"/restate/awakeables/{question}/resolve", "do it")

    async def ended(self, ticket: str) -> None:
        """Attach to the workflow until it returns."""
        url = f"{self._ingress}/restate/workflow/ticket/{ticket}/attach"
        async with self._session.get(url) as reply:
            reply.raise_for_status()
            await reply.read()

    async def steps(self, name: str, count: int) -> None:
        """Run a row of steps."""
        await self._post(f"/steps/{name}/row", {"steps": count})

    async def listen(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        """Take questions."""
        async for line in reader:
            question = json.loads(line)
            self._questions[question["ticket"]] = question["id"]
            self._parked.note(question["ticket"])

    async def _post(self, path: str, body: object) -> None:
        async with self._session.post(self._ingress + path, json=body) as reply:
            reply.raise_for_status()
            await reply.read()


async def main() -> None:
    """Register the service, run the workloads, tell the figures."""
    ingress, admin, service, server, worker, bell, word, *workloads = sys.argv[1:]
    pids = {"server": int(server), "worker": int(worker), "driver": os.getpid()}
    connector = aiohttp.TCPConnector(limit=0)
    found = {}
    async with aiohttp.ClientSession(connector=connector) as session:
        desk = RestateDesk(session, f"http://127.0.0.1:{ingress}")
        listener = await asyncio.start_unix_server(desk.listen, bell)
        deployment = {"uri": f"http://127.0.0.1:{service}"}
        async with session.post(f"http://127.0.0.1:{admin}/deployments", json=deployment) as reply:
            reply.raise_for_status()
        if "ticket" in workloads:
            found["ticket"] = await ticket(desk, BY_WORD[word], pids)
        if "steps" in workloads:
            found["steps"] = await steps(desk.steps, BY_WORD[word])
        listener.close()
    tell(found)


asyncio.run(main())
