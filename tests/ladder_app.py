"""An app whose run asks a developer once; nobody answers, and a lead is asked too."""

from __future__ import annotations

from typing import Any

from layby import App, Role, Rung

POINTS = (
    *("after_rung_armed", "before_reached", "after_reached"),
    *("after_rung_published", "after_rung_recorded"),
)
"""The crash points that only a run with a ladder meets."""
app = App(
    "ladder",
    roles=[
        Role("developer", remind=["200ms", "700ms"], escalate=[Rung("450ms", to="role:lead")]),
        "lead",
    ],
)


@app.workflow(on="ladder.asked", key="ticket", name="ladder")
async def ask(event: dict[str, Any], step: Any) -> dict[str, Any]:
    """Ask once."""
    del event
    answer = await step.ask("developer", "Known?", timeout="10m", default=None)
    return {"text": answer.text, "by": answer.by}
