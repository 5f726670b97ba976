"""The app: a task arrives, the agent works on it, and a reviewer approves every write."""

from __future__ import annotations

import os
from typing import Any

from pydantic import BaseModel

from layby import Agent, App, Network, Route, Step
from layby.models import Model, anthropic

from .agent import coder
from .offline import offline


def default_model() -> Model:
    """Claude if ANTHROPIC_API_KEY is set, else a scripted model."""
    return anthropic("claude-sonnet-4-6") if os.environ.get("ANTHROPIC_API_KEY") else offline


def route(route: Route[Any]) -> Agent | None:
    """Give the only agent one turn."""
    return None if route.turns else coder


coding = Network("coding", agents=[coder], router=route, default_model=default_model())
app = App("coding", networks=[coding], roles=["reviewer"])


class CodeTask(BaseModel):
    """A change to make."""

    id: str
    task: str


class CodeDone(BaseModel):
    """What the agent did."""

    said: str
    written: list[str]
    """The files that were written, each with a reviewer's approval."""
    rejected: int
    """How many writes the reviewer did not approve."""


@app.workflow(on="code.task", key="id")
async def change_code(event: CodeTask, step: Step) -> CodeDone:
    """Let the agent work on a task."""
    result = await step.network(coding, event.task)
    writes = [call for t in result.turns for call in t.calls if call.name == "write_file"]
    return CodeDone(
        said=result.text,
        written=[str(call.arguments["name"]) for call in writes if not call.is_error],
        rejected=sum(call.is_error for call in writes),
    )
