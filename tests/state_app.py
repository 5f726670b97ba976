"""An app whose agent notes facts in parallel and asks people, for a worker's process."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from layby import Agent, App, CallOutcome, Network, Route, Step, ToolContext, tool
from layby.models import ModelRequest, ToolCall, ToolResult
from layby.testing import ScriptedModel
from tests.scripted import calls


class Case(BaseModel):
    facts: list[str] = []
    count: int = 0
    audit: list[str] = []


@tool
async def note(ctx: ToolContext[Case], fact: str) -> str:
    """Note a fact."""
    ctx.state.facts.append(fact)
    ctx.state.count += 1
    return f"{len(ctx.state.facts)} facts now"


@tool
def note_in_a_thread(ctx: ToolContext[Case], fact: str) -> str:
    """Note a fact."""
    ctx.state.facts.append(fact)
    ctx.state.count += 1
    return f"{len(ctx.state.facts)} facts now"


@tool
async def check(ctx: ToolContext[Case], fact: str, role: str) -> str:
    """Have somebody check a fact, and note it."""
    answer = await ctx.step.ask(role, f"Is {fact} so?")
    ctx.state.facts.append(f"{fact}: {answer.text}")
    return answer.text


def script(request: ModelRequest) -> Any:
    """Note three facts and have two checked, all at once; then one more."""
    told = [p for m in request.messages for p in m.parts if isinstance(p, ToolResult)]
    if not told:
        return calls(
            ("check", {"fact": "x", "role": "developer"}),
            ("note", {"fact": "a"}),
            ("note_in_a_thread", {"fact": "b"}),
            ("note", {"fact": "c"}),
            ("check", {"fact": "y", "role": "lead"}),
        )
    if len(told) == 5:
        return calls(("note", {"fact": "d"}))
    return "; ".join(p.content for p in told if p.is_error) or "nothing was lost"


def audit(ctx: ToolContext[Case], call: ToolCall, outcome: CallOutcome) -> None:
    """Write down what was called."""
    del outcome
    ctx.state.audit.append(f"{call.name} {call.arguments['fact']}")


def once(route: Route[Case]) -> str | None:
    """One turn."""
    return None if route.turns else "Clerk"


clerk = Agent("Clerk", tools=[note, note_in_a_thread, check], after_tool=audit)
desk = Network("desk", agents=[clerk], router=once, default_model=ScriptedModel(script), state=Case)
app = App("facts", networks=[desk], roles=["developer", "lead"])


@app.workflow(on="facts.wanted", key="ticket")
async def gather(event: dict[str, Any], step: Step) -> dict[str, Any]:
    """Let the desk work."""
    result = await step.network(desk, f"Work on {event['ticket']}")
    return {"text": result.text, "state": result.state}
