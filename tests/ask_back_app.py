"""An app whose agent asks a developer once, and whose workflow asks another; people ask back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from layby import Agent, App, Network, Route
from layby.models import ModelRequest, Text, ToolResult
from layby.testing import ScriptedModel, calls
from layby.tools import make_ask

POINTS = (
    *("before_reply", "after_reply", "after_replied"),
    *("after_reply_asked", "after_request_withdrawn", "after_clock_started", "after_reply_told"),
)
"""The crash points that only a question about which people ask back meets."""
LEDGER = "ASK_BACK_LEDGER"


def script(request: ModelRequest) -> Any:
    """Ask, reply to whoever asks back, end with the answer; follows from the request alone."""
    last = request.messages[-1].parts[-1]
    if isinstance(last, Text) and "asks you: " in last.text:
        with Path(os.environ[LEDGER]).open("a") as ledger:
            ledger.write("model\n")
        return f"Because of {last.text.partition('asks you: ')[2].partition(chr(10))[0]}"
    told = [p.content for m in request.messages for p in m.parts if isinstance(p, ToolResult)]
    return told[-1] if told else calls("ask_developer", question="Known?")


def once(route: Route[Any]) -> str | None:
    """One turn."""
    return None if route.turns else "Clerk"


clerk = Agent("Clerk", tools=[make_ask(clock_stops=True, timeout="1h")])
desk = Network("desk", agents=[clerk], router=once, default_model=ScriptedModel(script))
app = App("ask-back", networks=[desk], roles=["developer", "support"])


@app.workflow(on="agent.asked", key="ticket", name="agent")
async def by_agent(event: dict[str, Any], step: Any) -> str:
    """Let the agent ask."""
    del event
    return str((await step.network(desk, "go")).text)


@app.workflow(on="code.asked", key="ticket", name="code")
async def by_code(event: dict[str, Any], step: Any) -> str:
    """Ask, with people of another role who reply."""
    del event
    answer = await step.ask("developer", "Known?", explain="role:support", clock_stops=True)
    return str(answer.text)
