"""The release of the app that a bad deploy brings: it renames the first step of each run."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec

from layby.actors.workflows.workflow import WorkflowStep
from layby.runtime.step import Step

from .app import Body, Op, Opened, release

FIRST = "0-step"
"""The step that it renames."""


class Renamed(Body):
    """One run of the workflow."""

    def do_step(self, op: Op, suffix: str = "") -> Awaitable[str]:
        """Make the first effect under another key, which the outside world would see."""
        if op.name == FIRST:
            op = msgspec.structs.replace(op, name="0-moved")
        return super().do_step(op, suffix)


async def walk(event: Opened, step: Step) -> list[Any]:
    """Do what the event says."""
    assert isinstance(step, WorkflowStep)
    return await Renamed(event, step).walk()


app = release(walk)
