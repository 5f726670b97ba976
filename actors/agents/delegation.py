"""Delegation: an agent uses another one as a tool, or hands its turn over to it."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from ...bus.token import slug
from ...runtime.actor_step import ActorStep
from ...runtime.values import dump, load
from ...tools.context import ToolContext
from ...tools.render import render
from ...tools.tool import Tool, tool
from ..threads.turn import CallOutcome, NetworkInput, TurnInput, TurnResult
from .definition import AgentDefinition
from .recorded import LiveContext
from .route import Candidate

_UNFINISHED = {"max_steps", "budget_spent", "refusal", "max_tokens"}


def as_tool(
    agent: AgentDefinition, *, name: str | None = None, description: str | None = None
) -> Tool[..., Any]:
    """Make a tool that lets `agent` take a turn on a task of the caller's, and returns its text.

    The turn is a durable call of its own: the caller occupies no worker meanwhile, and finished
    steps are not repeated. The agent sees the task and the network's state, but not the
    conversation. Changes that its tools make to the state count for the network, and its tokens for
    the caller.
    """

    async def delegate(
        ctx: ToolContext[Any], task: Annotated[str, "What it is to do, complete in itself"]
    ) -> CallOutcome:
        state = load(dump(ctx.state), dict[str, Any])
        seen = ctx.seen if isinstance(ctx, LiveContext) else []
        work = NetworkInput(network=ctx.network, input=task, state=state, seen=seen)
        asked = TurnInput(agent=agent.name, network=ctx.network, task=work, tokens=ctx.tokens_left)
        step = ActorStep.of(ctx.step)
        turn = await step.call(agent, asked, name=agent.address, note=agent.name)
        return _outcome(turn)

    made = tool(
        name=name or _named("ask", agent.name),
        description=description or f"Let {agent.name} work on a task. {agent.description}".strip(),
    )(delegate)
    return dataclasses.replace(made, calls=(agent,))


def _outcome(turn: TurnResult) -> CallOutcome:
    text = turn.text if turn.output is None else render(turn.output)
    return CallOutcome(
        content=text or f"{turn.agent} ended without saying anything: {turn.stop}",
        is_error=turn.stop in _UNFINISHED,
        state=turn.state if turn.changes is None else {},
        changes=turn.changes,
        seen=turn.seen,
        usage=turn.usage,
    )


def handoff(
    to: Candidate | str, *, name: str | None = None, description: str | None = None
) -> Tool[..., Any]:
    """Make a tool that ends the turn and gives the next one to `to`, an agent of the same network.

    The router is not asked. `to` may also be a name, so that two agents can hand off to each other.
    """
    successor = to if isinstance(to, str) else to.name
    about = "" if isinstance(to, str) else to.description

    async def hand_over(
        reason: Annotated[str, "What they need to know, and why it is theirs"] = "",
    ) -> str:
        return f"{successor} takes over{': ' if reason else ''}{reason}"

    made = tool(
        name=name or _named("hand_off_to", successor),
        description=description or f"Let {successor} take over. It ends your turn. {about}".strip(),
    )(hand_over)
    return dataclasses.replace(made, hands_to=successor)


def _named(verb: str, agent: str) -> str:
    return f"{verb}_{slug(agent).replace('-', '_')}"[:64]
