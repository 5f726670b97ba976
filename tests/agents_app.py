"""An app whose agent has every hook and an approval, importable by a worker's process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from layby import Agent, AgentContext, App, CallOutcome, Network, Route, Step, ToolContext, tool
from layby.models import ModelRequest, ModelResponse, ToolCall, ToolResult
from layby.testing import ScriptedModel, calls


class Spent(BaseModel):
    total: int = 0


def wrote(line: str) -> None:
    """Write down that something happened in the world."""
    with Path(os.environ["AGENTS_LEDGER"]).open("a") as ledger:
        ledger.write(f"{line}\n")


@tool(needs_approval=True)
def pay(ctx: ToolContext[Spent], amount: int) -> str:
    """Pay somebody."""
    wrote(f"pay {amount} {ctx.idempotency_key}")
    ctx.state.total += amount
    return f"paid {amount}"


def script(request: ModelRequest) -> Any:
    """Pay, then say what came of it; follows from the request alone."""
    wrote("model")
    told = [p.content for m in request.messages for p in m.parts if isinstance(p, ToolResult)]
    return told[-1] if told else calls("pay", amount=100)


def halve(ctx: ToolContext[Spent], call: ToolCall) -> ToolCall:
    """Let nobody pay more than half."""
    wrote("before")
    half = {"amount": call.arguments["amount"] // 2}
    return ToolCall(id=call.id, name=call.name, arguments={**half, **ctx.agent_state})


def noted(ctx: ToolContext[Spent], call: ToolCall, outcome: CallOutcome) -> str:
    """Say who has seen it."""
    wrote("after")
    return f"{outcome.content}, {call.arguments['amount']} checked, total {ctx.state.total}"


def shorter(ctx: AgentContext[Spent], response: ModelResponse) -> None:
    """Leave it as it is."""
    del ctx, response
    wrote("response")


def once(route: Route[Spent]) -> str | None:
    """One turn."""
    return None if route.turns else "Clerk"


clerk = Agent("Clerk", tools=[pay], before_tool=halve, after_tool=noted, on_response=shorter)
desk = Network(
    "desk", agents=[clerk], router=once, default_model=ScriptedModel(script), state=Spent
)


@tool
async def charge(ctx: ToolContext, amount: int) -> str:
    """Charge a customer, if a person agrees."""
    answer = await ctx.step.ask("developer", f"Charge {amount}?", answer=bool)
    wrote(f"charge {amount} {ctx.idempotency_key} {answer.value}")
    return f"charged {amount}"


def charging(request: ModelRequest) -> Any:
    """Charge, then say what came of it."""
    wrote("model")
    told = [p.content for m in request.messages for p in m.parts if isinstance(p, ToolResult)]
    return told[-1] if told else calls("charge", amount=100)


teller = Agent("Teller", tools=[charge], model=ScriptedModel(charging))
app = App("agents", networks=[desk], agents=[teller])


@app.workflow(on="agents.alone", key="ticket")
async def alone(event: dict[str, Any], step: Step) -> str:
    """Let one agent work, without a network."""
    return (await step.agent(teller, f"Work on {event['ticket']}")).text


@app.workflow(on="agents.work", key="ticket")
async def work(event: dict[str, Any], step: Step) -> dict[str, Any]:
    """Let the desk work."""
    result = await step.network(desk, f"Work on {event['ticket']}")
    return {"text": result.text, "total": result.state.total}
