"""The workload as Restate workflows. Runs in the peer's venv, under hypercorn."""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false
# mypy: ignore-errors

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta

import restate
from restate import Workflow, WorkflowContext

_BLOB = "x" * 1_000
_bell: asyncio.StreamWriter | None = None

ticket = Workflow("ticket")
steps = Workflow("steps")


@ticket.main()
async def run(ctx: WorkflowContext, request: dict) -> dict:
    """Look up, route, ask a person, resolve."""
    name = ctx.key()

    async def look_up() -> dict:
        return {"ticket": name, "blob": _BLOB}

    async def route() -> str:
        return "technical" if details["blob"] else "customer"

    async def ask() -> None:
        await _ring({"ticket": name, "id": question, "team": team})

    async def resolve() -> str:
        return f"resolved: {answer}"

    details = await ctx.run("look_up", look_up)
    team = await ctx.run("route", route)
    question, answered = ctx.awakeable()
    await ctx.run("ask", ask)
    match await restate.select(answer=answered, late=ctx.sleep(timedelta(hours=4))):
        case ["answer", answer]:
            said = await ctx.run("resolve", resolve)
        case _:
            said = "nobody answered"
    return {"ticket": request["ticket"], "said": said}


@steps.main()
async def row(ctx: WorkflowContext, request: dict) -> str:
    """One step after another."""

    async def nothing() -> None:
        return None

    for _ in range(request["steps"]):
        await ctx.run("nothing", nothing)
    return "done"


async def _ring(question: dict) -> None:
    """Publish a question: a line to the caller's socket."""
    global _bell
    if _bell is None:
        _, _bell = await asyncio.open_unix_connection(os.environ["BENCH_BELL"])
    _bell.write(json.dumps(question).encode() + b"\n")
    await _bell.drain()


app = restate.app([ticket, steps])
