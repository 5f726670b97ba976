"""Asks a person whether a tool call may run, where its tool needs that."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...runtime.actor_step import ActorStep, Bound
from ...runtime.errors import AskTimedOut, NoQuorum, QuestionLimit
from ...runtime.state import Question
from ...runtime.values import BadValue
from ...tools import approval
from ...tools.errors import InvalidArguments
from ...tools.tool import Tool
from ..keys import Key
from ..threads.turn import Prepared
from .cleared import Cleared, failed, ruled
from .recorded import scoped

CHANGED: Final = "{} was not run: its arguments are no longer what was approved"
_EDITS = 3
"""How often a person may send arguments that the tool refuses."""


class ToolApproval:
    """The approval of the calls of one response of an agent."""

    def __init__(self, step: ActorStep, agent: str) -> None:
        """`agent`: its name."""
        self._step = step
        self._agent = agent

    async def clear(self, key: Key, tool: Tool[..., Any] | None, prepared: Prepared) -> Cleared:
        """The call as it may run. Without a clear yes, the tool does not run."""
        if prepared.outcome is not None or tool is None:
            return Cleared(prepared.arguments, refusal=prepared.outcome)
        try:
            prepared = self._with_signer(tool, prepared)
            if not prepared.role:
                return Cleared(prepared.arguments)
            return await self._ask(key, tool, prepared)
        except AskTimedOut:
            who = f"no {prepared.role}" if prepared.quorum is None else "too few people"
            why = f"{tool.name} was not run: {who} approved it in time"
        except NoQuorum:
            why = f"{tool.name} was not run: the people who were asked do not agree"
        except (InvalidArguments, BadValue):
            why = CHANGED.format(tool.name)
        except QuestionLimit as error:
            why = f"{tool.name} was not run: it needs approval, and {error}"
        return Cleared(prepared.arguments, refusal=failed(why))

    def _with_signer(self, tool: Tool[..., Any], prepared: Prepared) -> Prepared:
        """Require approval by the tool's role if it signs, whatever a worker recorded."""
        needed = approval.declared_approvers(tool.needs_approval)
        signers = self._step.ports.signers
        roles = {needed.role, *(needed.quorum.groups if needed.quorum is not None else ())}
        if needed == (prepared.role, prepared.quorum) or not any(each in signers for each in roles):
            return prepared
        full = tool.validate(prepared.arguments)
        digest = approval.digest_of(tool, prepared.arguments, full)
        return msgspec.structs.replace(
            prepared, role=needed.role, quorum=needed.quorum, digest=digest
        )

    async def _ask(self, key: Key, tool: Tool[..., Any], prepared: Prepared) -> Cleared:
        full, problem = tool.validate(prepared.arguments), ""
        step = scoped(self._step, key)

        def bind(question_id: str, asked: Question | None) -> Bound:
            # A question of an earlier release shows the call's digest instead of the question's.
            old = asked is not None and not asked.digest
            own = approval.question_digest(prepared.digest, question_id, prepared.salt)
            shown = prepared.digest if old else own
            context = approval.context(tool, full, shown)
            wanted = approval.answer_type(tool, shown)
            return Bound(context, wanted, shown, lambda: approval.call_of(tool, full))

        for _ in range(_EDITS):
            answer = await step.ask_about(
                prepared.role,
                approval.question(tool, self._agent, full, problem),
                bind,
                timeout=tool.approval_timeout,
                accept=tool.approval_accept,
                confidential=tool.confidential,
                quorum=prepared.quorum,
                ladder=tool.approval_ladder,
                agent=self._agent,
                name=key.inner,
            )
            ruling = approval.ruling_of(answer.value)
            if ruling.kind != "edit":
                return ruled(tool, prepared, ruling, answer.by)
            edited = ruling.arguments or {}
            try:
                digest = approval.digest_of(tool, edited, tool.validate(edited))
            except InvalidArguments as error:
                problem = f"The edited arguments do not fit: {error}"
            else:
                return Cleared(edited, digest, edited=True)
        why = f"{tool.name} was not run: the arguments were edited, but did not fit"
        return Cleared(prepared.arguments, refusal=failed(why))
