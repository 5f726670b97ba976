"""An app whose run asks two developers once; they claim it, pass it on and decline it."""

from __future__ import annotations

from typing import Any

from layby import App, Role, Rung

OPENED_POINTS = ("before_opened", "after_opened", "after_opened_shown")
POINTS = ("before_act", "after_act", "after_act_shown", *OPENED_POINTS)
"""The crash points that only what people say besides answers meets."""
app = App(
    "claims",
    roles=[
        Role("developer", people=["ada", "bob"], escalate=[Rung("2h", to="role:boss")]),
        "lead",
        "boss",
    ],
)


@app.workflow(on="claims.asked", key="ticket", name="claims")
async def ask(event: dict[str, Any], step: Any) -> dict[str, Any]:
    """Ask once."""
    del event
    answer = await step.ask("developer", "Known?", timeout="3h", default=None)
    return {"text": answer.text, "by": answer.by}
