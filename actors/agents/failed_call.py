"""A failed tool call whose tool lets a person decide what to do about it."""

from __future__ import annotations

from typing import Annotated, Any

from ...runtime.actor_step import ActorStep
from ...runtime.ask_on_failure import AskOnFailure, FailureDecision, FailureQuestion, ask_decision
from ...runtime.errors import StepFailed
from ...runtime.failure import failure_of
from ...runtime.values import BadValue, dump
from ...tools.approval import inlined
from ...tools.errors import InvalidArguments
from ...tools.render import render
from ...tools.tool import Tool
from ..keys import APPROVE, BEFORE, FAILED, Key
from ..threads.turn import CallOutcome, Prepared
from .recorded import scoped


class FailedCall:
    """A call whose every attempt has failed."""

    def __init__(self, step: ActorStep, key: Key, tool: Tool[..., Any], error: StepFailed) -> None:
        self._step = step
        self._key = key
        self._tool = tool
        self._error = error

    async def outcome(
        self, policy: AskOnFailure, agent: str, arguments: dict[str, Any]
    ) -> CallOutcome | None:
        """The result that a person supplies; None: the call has failed. Raises Parked to retry it.

        With edited arguments it is a different call, which goes through its hook and its approval
        again.
        """
        asked, step = self._key.of(FAILED), scoped(self._step, self._key)
        decision = await ask_decision(step, self._trouble(agent, arguments), policy, asked.inner)
        again = [str(self._key), *self._step.repeats_of(str(asked))]
        match decision.kind:
            case "retry":
                await self._step.do_again(again, decision.question)
            case "edit":
                for kind in (BEFORE, APPROVE):
                    again += self._step.repeats_of(str(self._key.of(kind)))
                await self._step.do_again(again, decision.question, input=dump(decision.value))
            case "skip":
                return CallOutcome(content=render(decision.value))
            case _:
                pass
        return None

    def _trouble(self, agent: str, arguments: dict[str, Any]) -> FailureQuestion:
        from pydantic import WithJsonSchema  # noqa: PLC0415  slow to load, and seldom needed

        return FailureQuestion(
            what=f"Tool {self._tool.name!r}",
            failure=failure_of(self._error),
            input=arguments,
            edit_example="{all arguments}",
            edited_type=Annotated[dict[str, Any], WithJsonSchema(inlined(self._tool.parameters))],
            fit=self._fit,
            agent=agent,
            confidential=self._tool.confidential,
        )

    def _fit(self, decision: FailureDecision) -> FailureDecision:
        if decision.kind == "edit":
            try:
                self._tool.validate(decision.value)
            except InvalidArguments as error:
                raise BadValue(str(error)) from None
        return decision


def policy_for(step: ActorStep, key: Key, tool: Tool[..., Any]) -> AskOnFailure | None:
    """How people decide about a failure of the call `key`; None: nobody is or was asked."""
    asked = step.repeats_of(str(key.of(FAILED)))
    return tool.on_failure or (AskOnFailure() if asked else None)


def has_begun(step: ActorStep, key: Key, prepared: Prepared) -> bool:
    """Whether the call `key` is in progress: it was tried, it waits, or people were asked about it.

    False when its outcome is recorded and nobody was asked what to do about it.
    """
    if step.repeats_of(str(key.of(FAILED))):
        return True
    slot = step.recorded(str(key))
    if slot is not None:
        return not slot.settled
    return bool(prepared.role) or step.has_within(str(key))
