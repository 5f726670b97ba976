"""An app whose runs ask a developer, and remind them at the moment that the event names."""

from __future__ import annotations

import time
from typing import Any

from layby import App, Step

EVENT = "ladder.asked"

app = App("ladder-desk", ask_timeout="10d")


@app.workflow(on=EVENT, key="ticket", name="ladder")
async def ladder(event: dict[str, Any], step: Step) -> str:
    """Ask, and have the developer reminded at `due` (Unix seconds)."""
    after = max(1.0, event["due"] - time.time())
    answer = await step.ask("developer", "Is this a known problem?", remind=[after])
    return answer.text
