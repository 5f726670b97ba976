"""The tool with which an agent asks a person, and waits without holding anything."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from ..runtime.vouching import Accept
from .context import ToolContext
from .tool import Tool, tool


def make_ask(
    role: str = "developer",
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: str | float | timedelta | None = None,
    accept: Accept = None,
) -> Tool[..., Any]:
    """A tool that asks somebody with `role`.

    The result holds `answer`, `by` (who gave it, as far as is known) and `answered_at`. When nobody
    answers within `timeout` (the app's `ask_timeout` unless given) the model gets an error that
    says so, and so it does when the run has asked as often as the app allows. `accept` is that of
    `step.ask`.
    """

    async def ask(
        ctx: ToolContext,
        question: Annotated[str, "The question, complete in itself"],
        context: Annotated[str, "What they need to know to answer it"] = "",
    ) -> dict[str, str]:
        answer = await ctx.step.ask(
            role, question, context=context, timeout=timeout, agent=ctx.agent, accept=accept
        )
        return {"answer": answer.text, "by": answer.by, "answered_at": answer.at.isoformat()}

    return tool(
        name=name or f"ask_{role}",
        description=description
        or f"Ask a {role} a question that only a person can answer. It may take hours.",
    )(ask)


ask_developer = make_ask()
