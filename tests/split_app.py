"""An app whose logs are in four streams, importable by a worker's process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from layby import App, Step

CHARGES = "SPLIT_CHARGES"
"""Environment variable: a file with a line for each time that `charge` ran."""

app = App("split", log_streams=4)


def charge(order: str) -> str:
    """Charge an order."""
    with Path(os.environ[CHARGES]).open("a") as file:
        file.write(f"{order}\n")
    return f"charged {order}"


@app.workflow(on="split.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> list[str]:
    """Charge, ask, charge again."""
    first = await step.run("first", charge, f"{event['ticket']}-1")
    said = await step.ask("developer", "Go on?")
    second = await step.run("second", charge, f"{event['ticket']}-2")
    return [first, said.text, second]
