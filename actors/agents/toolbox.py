"""The tools of an agent in a turn: its own, and those that its sources list."""

from __future__ import annotations

import dataclasses

from ...runtime.actor_step import ActorStep
from ...runtime.errors import Interrupted, LaybyError
from ...tools.source import listed, sources
from ..keys import TOOLS
from ..models.model import MODEL_RETRY
from .definition import AgentDefinition


async def equipped(agent: AgentDefinition, step: ActorStep, prefix: str = "") -> AgentDefinition:
    """The agent with its sources replaced by their tools; the agent itself if it has no sources.

    The first listing of a turn is a step, whose key begins with `prefix`, so a source that cannot
    be reached is retried durably. A turn that resumes just waits for the source.

    Raises:
        StepFailed: a source cannot be reached.
        Interrupted: a source was reachable earlier in the turn, which resumes when it is again.
    """
    found = sources(agent.tools)
    if not found:
        return agent
    key = f"{prefix}{TOOLS}"
    began = step.has(key)

    async def effect() -> list[str]:
        return [tool.name for tool in await listed(agent.tools)]

    def summary(names: list[str]) -> str:
        return f"{len(names)} tools, also of {', '.join(source.name for source in found)}"

    await step.perform(key, effect, list[str], retry=MODEL_RETRY, note=summary)
    try:
        return dataclasses.replace(agent, tools=await listed(agent.tools))
    except LaybyError as error:
        if began and getattr(error, "retryable", False):
            raise Interrupted(str(error)) from error
        raise
