"""Deploys that rename a step over parked runs, side by side with the release that fits."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from layby import App, Step
from tests.engine import Engine, app_of

RUNS = 6


def _release(step_name: str, done: list[str]) -> App:
    async def reserve(ticket: str) -> str:
        done.append(ticket)
        return ticket

    async def handle(event: dict[str, Any], step: Step) -> str:
        await step.run(step_name, reserve, event["ticket"])
        answer = await step.ask("developer", "Ready?")
        await step.run("ship", reserve, f"{event['ticket']} shipped")
        return answer.text

    # A role of its own: to tell the releases by their source, there would have to be two files.
    return app_of(handle, roles=("developer", step_name))


async def trouble(engine: Engine) -> str:
    """What is wrong once a step was renamed over parked runs and put back; empty: nothing."""
    done: list[str] = []
    tickets = [f"T{n}" for n in range(RUNS)]
    async with engine.works(_release("reserve", done)):
        runs = [await engine.start(ticket) for ticket in tickets]
        await engine.questions(RUNS)
    async with AsyncExitStack() as fleet:
        await fleet.enter_async_context(engine.works(_release("book", done)))
        for ticket in tickets[: RUNS // 2]:
            await engine.answer(ticket, "go")
        await fleet.enter_async_context(engine.works(_release("reserve", done)))
        for ticket in tickets[RUNS // 2 :]:
            await engine.answer(ticket, "go")
        ends = [(await engine.ended(run)).status for run in runs]
    if set(ends) != {"completed"}:
        return f"wrong end: {ends}"
    wanted = sorted([*tickets, *(f"{ticket} shipped" for ticket in tickets)])
    return "" if sorted(done) == wanted else f"effects: {sorted(done)}"
