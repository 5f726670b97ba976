"""An app whose run asks a developer once; each call of its channels is a line of a file."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from layby import App, Role, Rung
from layby.channels import Card, Undeliverable

POINTS = (
    "after_card_sent",
    "after_card_recorded",
    "after_card_held",
    "after_notice",
    "after_watch_armed",
    "after_unserved_recorded",
)
"""The crash points that only a run with channels meets."""
CALLS = "LAYBY_TEST_CALLS"
"""The variable with the path of the file."""


class Lines:
    """Writes what it is told to do into a file, which outlives the process."""

    def __init__(self, name: str, *, fails: bool = False, lacks: str = "") -> None:
        self.name = name
        self._fails = fails
        self._lacks = lacks

    def missing(self) -> str:
        """Nothing, or what it was made with."""
        return self._lacks or ("" if CALLS in os.environ else f"{CALLS} is not set")

    async def send(self, card: Card) -> str:
        """Write a line."""
        if self._fails:
            raise Undeliverable("no such room")
        await self._write("send", card)
        return card.key

    async def update(self, ref: str, card: Card) -> None:
        """Write a line."""
        assert ref == card.key
        await self._write("update", card)

    async def close(self, ref: str, card: Card) -> None:
        """Write a line."""
        assert ref == card.key
        await self._write("close", card)

    async def _write(self, what: str, card: Card) -> None:
        line = [what, card.key, card.status, len(card.votes), card.run_status]
        await asyncio.to_thread(_append, Path(os.environ[CALLS]), json.dumps(line))


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")


app = App(
    "shown",
    roles=[
        Role("developer", people=["ada", "bob"], channels=[Lines("one"), Lines("two")]),
        Role(
            "deaf",
            channels=[Lines("left", fails=True), Lines("right", fails=True)],
            escalate=[Rung("1h", to="role:lead")],
        ),
        Role(
            "unheard",
            channels=[Lines("left", lacks="a token"), Lines("right", lacks="a token")],
            escalate=[Rung("1h", to="role:lead")],
        ),
        Role("lead", channels=[Lines("one")]),
    ],
)


@app.workflow(on="shown.asked", key="ticket", name="shown")
async def ask(event: dict[str, Any], step: Any) -> dict[str, Any]:
    """Ask once."""
    role, several = event.get("role", "developer"), event.get("quorum")
    options: dict[str, Any] = {"answer": bool, "quorum": several} if several else {}
    if event.get("soon"):
        options |= {"timeout": "20s", "escalate": [Rung("19s", to="role:lead")]}
    answer = await step.ask(role, "Known?", **{"timeout": "2h", "default": None, **options})
    return {"text": answer.text, "by": answer.by}
