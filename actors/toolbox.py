"""The tools that an agent has in a turn: its own, and those that its sources list."""

from __future__ import annotations

import dataclasses

from ..runtime.actor_step import ActorStep
from ..runtime.errors import Interrupted, LaybyError
from ..runtime.retry import Retry
from ..tools.source import listed, sources
from .agent import Agent
from .keys import TOOLS

_RETRY = Retry(attempts=6, first=1.0, longest="1m")


async def equipped(agent: Agent, step: ActorStep, prefix: str = "") -> Agent:
    """The agent with the tools of its sources in their place; itself when it has none.

    The turn's first listing is a step, whose key begins with `prefix`: a source that cannot be
    reached is tried again durably. When a turn goes on later it is only waited for.

    Raises:
        StepFailed: a source cannot be reached.
        Interrupted: it could once, and cannot now: the turn goes on when it can again.
    """
    found = sources(agent.tools)
    if not found:
        return agent
    key = f"{prefix}{TOOLS}"
    began = step.has(key)

    async def effect() -> list[str]:
        return [tool.name for tool in await listed(agent.tools)]

    def told(names: list[str]) -> str:
        return f"{len(names)} tools, also of {', '.join(source.name for source in found)}"

    await step.perform(key, effect, list[str], retry=_RETRY, note=told)
    try:
        return dataclasses.replace(agent, tools=await listed(agent.tools))
    except LaybyError as error:
        if began and getattr(error, "retryable", False):
            raise Interrupted(str(error)) from error
        raise
