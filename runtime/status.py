"""The status of a run, as people and programs read it."""

from __future__ import annotations

from typing import Literal

RunStatus = Literal[
    "running",
    "waiting",
    "blocked",
    "completed",
    "failed",
    "timed_out",
    "max_turns",
    "budget_spent",
    "cancelled",
    "erased",
]
"""`waiting` is parked: it waits for a person, a timer or a child and occupies no worker. `blocked`
is parked too: it continues once people have fixed the reason. `erased`: its key was destroyed
before it ended."""
