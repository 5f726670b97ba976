"""A failed run on which a person decides: retry, retry with another event, skip, or let it fail.

The failure is recorded before the question is asked. From then on the body is not entered until
there is an answer: code that has been fixed since need not fail again to learn the decision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.ask_on_failure import (
    AskOnFailure,
    FailureDecision,
    FailureQuestion,
    ask_decision,
    fit_result,
)
from ...runtime.body import raise_failure
from ...runtime.entry import NULL, Failure, Raw
from ...runtime.errors import LaybyError
from ...runtime.failure import blame, failure_of, reason_of, steps_of
from ...runtime.repairs import ON_FAILURE
from ...runtime.retry import NEVER
from ...runtime.values import dump

_ASK = "ask"
_FAILED = "failed"


class _Recorded(msgspec.Struct, frozen=True):
    """Why a run failed, as it is recorded."""

    failure: Failure
    steps: list[str]
    """Keys of the root frame whose failures it comes from."""


class FailedRun:
    """Has a person decide about the failures of one run."""

    def __init__(
        self,
        step: ActorStep,
        policy: AskOnFailure,
        question_for: Callable[[Failure], Awaitable[FailureQuestion]],
    ) -> None:
        self._step = step
        self._policy = policy
        self._question_for = question_for
        rounds = step.state.root.rounds if step.state.frames else 0
        self._round = f"~{rounds}" if rounds else ""
        """Distinguishes this failure from those that were retried before."""

    async def recorded_decision(self) -> FailureDecision | None:
        """The decision to `skip` a recorded failure; None: no failure is recorded, enter the body.

        Raises:
            Parked: nobody has decided yet, or the decision has the run continue another way.
            LaybyError: the decision is to fail, with the recorded failure.
        """
        slot = self._step.recorded(self._key)
        if slot is None or not slot.settled:
            return None
        self._step.skip_recorded()
        recorded: _Recorded = await self._step.read(slot.result, _Recorded)
        decision = await self._decide(recorded)
        if decision.kind != "skip":
            self._fail(recorded)
        return decision

    def _fail(self, recorded: _Recorded) -> NoReturn:
        try:
            raise_failure(self._key, recorded.failure)
        except LaybyError as failed:
            blame(failed, *recorded.steps)
            raise

    async def decide(self, error: Exception) -> FailureDecision:
        """The decision to `skip` a failure or to `fail` with it. Raises Parked for any other."""

        async def effect() -> _Recorded:
            return _Recorded(failure_of(error), steps_of(error))

        recorded: _Recorded = await self._step.perform(
            self._key,
            effect,
            _Recorded,
            retry=NEVER,
            note=lambda recorded: reason_of(recorded.failure),
        )
        return await self._decide(recorded)

    @property
    def _key(self) -> str:
        return f"{ON_FAILURE}/{_FAILED}{self._round}"

    async def _decide(self, recorded: _Recorded) -> FailureDecision:
        step = self._step.under(ON_FAILURE)
        name = f"{_ASK}{self._round}"
        question = await self._question_for(recorded.failure)
        decision = await ask_decision(step, question, self._policy, name)
        if decision.kind in {"retry", "edit"}:
            event = decision.value if decision.kind == "edit" else NULL
            await step.do_again(recorded.steps, decision.question, whole=True, event=event)
        return decision


def run_failure_question(
    workflow: str,
    event: Any,
    failure: Failure,
    *,
    fn: Callable[..., Any],
    fit: Callable[[Raw], None],
) -> FailureQuestion:
    """A failed run as a question. `fit` raises BadValue if an event cannot replace its own."""

    def fitted(decision: FailureDecision) -> FailureDecision:
        match decision.kind:
            case "edit":
                raw = dump(decision.value)
                fit(raw)
                return decision._replace(value=raw)
            case "skip":
                return decision._replace(value=fit_result(fn, decision.value))
            case _:
                return decision

    return FailureQuestion(
        what=f"A run of workflow {workflow!r}",
        failure=failure,
        input=event,
        edit_example="{the event}",
        edited_type=dict[str, Any],
        fit=fitted,
    )
