"""A tool call that failed, in the hands of a person where its tool says so."""

from __future__ import annotations

from typing import Annotated, Any

from ..runtime.actor_step import ActorStep
from ..runtime.errors import StepFailed
from ..runtime.failing import AskOnFailure, Decided, Trouble, decided
from ..runtime.failure import failure_of
from ..runtime.values import BadValue, dump
from ..tools.approval import inlined
from ..tools.errors import InvalidArguments
from ..tools.render import render
from ..tools.tool import Tool
from .keys import APPROVE, BEFORE, FAILED, Key
from .recorded import scoped
from .turn import CallOutcome, Prepared


class FailedCall:
    """A call of which every try has failed."""

    def __init__(self, step: ActorStep, key: Key, tool: Tool[..., Any], error: StepFailed) -> None:
        self._step = step
        self._key = key
        self._tool = tool
        self._error = error

    async def outcome(
        self, policy: AskOnFailure, agent: str, arguments: dict[str, Any]
    ) -> CallOutcome | None:
        """The result that a person gives; None: it has failed. Raises Parked to do it again.

        With other arguments it is another call, which its hook and its approval see anew.
        """
        asked, step = self._key.of(FAILED), scoped(self._step, self._key)
        decision = await decided(step, self._trouble(agent, arguments), policy, asked.inner)
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

    def _trouble(self, agent: str, arguments: dict[str, Any]) -> Trouble:
        from pydantic import WithJsonSchema  # noqa: PLC0415  slow to load, and seldom needed

        return Trouble(
            what=f"Tool {self._tool.name!r}",
            failure=failure_of(self._error),
            input=arguments,
            edit="{all arguments}",
            edited=Annotated[dict[str, Any], WithJsonSchema(inlined(self._tool.parameters))],
            fitted=self._fitted,
            agent=agent,
        )

    def _fitted(self, decision: Decided) -> Decided:
        if decision.kind == "edit":
            try:
                self._tool.validate(decision.value)
            except InvalidArguments as error:
                raise BadValue(str(error)) from None
        return decision


def policy_for(step: ActorStep, key: Key, tool: Tool[..., Any]) -> AskOnFailure | None:
    """Who is asked about a failure of the call `key`; None: nobody is, and nobody was."""
    asked = step.repeats_of(str(key.of(FAILED)))
    return tool.on_failure or (AskOnFailure() if asked else None)


def has_begun(step: ActorStep, key: Key, prepared: Prepared) -> bool:
    """Whether the call `key` is under way: it was tried, it waits, or people were asked about it.

    Not where its outcome is recorded, and nobody was asked what to do about it.
    """
    if step.repeats_of(str(key.of(FAILED))):
        return True
    slot = step.recorded(str(key))
    if slot is not None:
        return not slot.settled
    return bool(prepared.role) or step.has_within(str(key))
