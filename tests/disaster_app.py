"""An app of which backups are made while it works: it charges, asks, sleeps, and has children."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from layby import App, AskTimedOut, Step

CHARGES = "DISASTER_CHARGES"
"""Environment variable: a file with a line for each time that `charge` ran."""
STEPS = 6
"""Steps of an order that works."""
TALKS = 25
"""Questions of an order that talks."""

app = App("disaster", log_streams=4, max_questions=TALKS)


async def charge(what: str) -> str:
    """Charge something, which takes a moment."""
    await asyncio.to_thread(_note, what)
    return what


def _note(what: str) -> None:
    with Path(os.environ[CHARGES]).open("a") as file:
        file.write(f"{what}\n")
    time.sleep(0.02)


@app.workflow(on="disaster.packed", key="ticket")
async def pack(event: dict[str, Any], step: Step) -> str:
    """What an order has done by another run."""
    await step.run("pack", charge, f"{event['ticket']}-packed")
    return "packed"


@app.workflow(on="disaster.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    """Charge first, then do what the event says."""
    ticket, kind = event["ticket"], event["kind"]
    await step.run("first", charge, f"{ticket}-first")
    if kind == "works":
        for number in range(STEPS):
            await step.run(f"step {number}", charge, f"{ticket}-{number}")
        return str(await step.workflow(pack, {"ticket": ticket}))
    if kind == "sleeps":
        await step.sleep(event["for"])
        await step.run("last", charge, f"{ticket}-last")
        return "slept"
    if kind == "talks":
        for number in range(TALKS):
            await step.ask("developer", f"Question {number}?", timeout="4h")
        return "talked"
    try:
        said = await step.ask("developer", "Go on?", timeout=event["for"])
    except AskTimedOut:
        return "nobody answered"
    await step.run("last", charge, f"{ticket}-last")
    return said.text
