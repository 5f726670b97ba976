"""The tool that lets an agent ask a person, and wait without occupying a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from ..runtime.deciders import Deciders, check_declared, reserved_for
from ..runtime.explaining import Explain, role_in
from ..runtime.ladders import LadderOptions, check_options
from ..runtime.rung import Escalate, Remind
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
    confidential: bool = False,
    to: str | None = None,
    remind: Remind | None = None,
    escalate: Escalate | None = None,
    urgent: bool = False,
    answer: Any = str,
    quorum: int | None = None,
    groups: Mapping[str, int] | None = None,
    veto: bool = False,
    exclude: Sequence[str] = (),
    only: bool = False,
    explain: Explain | None = None,
    clock_stops: bool | None = None,
) -> Tool[..., Any]:
    """Make a tool that asks a person with `role`.

    The result holds `answer`, `by` (who gave it, as far as is known) and `answered_at`. When nobody
    answers within `timeout` (default: the app's `ask_timeout`), or when the run has asked as many
    questions as the app allows, the model gets an error that says so. The other options mean what
    they mean for `step.ask`; if several people decide, `by` names those who agree. When somebody
    asks back, the agent's model replies, unless `explain` says who does.

    Raises:
        InvalidSetup: what happens while a question stays open, or who decides it, is declared in a
            way that cannot be.
    """
    check_options(LadderOptions(to, remind, escalate, urgent), f"questions to {role!r}")
    deciders = Deciders(quorum, groups, veto, exclude)
    check_declared(deciders, answer)
    role_in(explain)
    if only:
        reserved_for(to, deciders.checked())

    async def ask(
        ctx: ToolContext,
        question: Annotated[str, "The question, complete in itself"],
        context: Annotated[str, "What they need to know to answer it"] = "",
    ) -> dict[str, str]:
        given = await ctx.step.ask(
            role,
            question,
            context=context,
            timeout=timeout,
            answer=answer,
            agent=ctx.agent,
            accept=accept,
            confidential=confidential,
            to=to,
            remind=remind,
            escalate=escalate,
            urgent=urgent,
            quorum=quorum,
            groups=groups,
            veto=veto,
            exclude=exclude,
            only=only,
            explain=explain,
            clock_stops=clock_stops,
        )
        return {"answer": given.text, "by": given.by, "answered_at": given.at.isoformat()}

    made = tool(
        name=name or f"ask_{role}",
        description=description
        or f"Ask a {role} a question that only a person can answer. It may take hours.",
    )(ask)
    return replace(made, confidential=confidential)


ask_developer = make_ask()
