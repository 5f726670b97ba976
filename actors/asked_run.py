"""A run that failed, in the hands of a person: retried where it failed, mended, or let be.

What it failed of is recorded before the question is asked. From then on the body is not entered
until there is an answer: code that was mended meanwhile need not fail again to hear of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import msgspec

from ..runtime.actor_step import ActorStep
from ..runtime.body import raise_failure
from ..runtime.entry import NULL, Failure, Raw
from ..runtime.errors import LaybyError
from ..runtime.failing import AskOnFailure, Decided, Trouble, decided, result
from ..runtime.failure import blame, failure_of, reason_of, steps_of
from ..runtime.mending import ON_FAILURE
from ..runtime.retry import NEVER
from ..runtime.values import dump

_ASK = "ask"
_FAILED = "failed"
Told: TypeAlias = Callable[[Failure], Awaitable[Trouble]]


class _Known(msgspec.Struct, frozen=True):
    """What a run failed of, as it is recorded."""

    failure: Failure
    steps: list[str]
    """Keys of the root frame whose failures it comes from."""


class AskedRun:
    """What a person decides about the failures of one run."""

    def __init__(
        self,
        step: ActorStep,
        policy: AskOnFailure,
        trouble: Callable[[Failure], Awaitable[Trouble]],
    ) -> None:
        self._step = step
        self._policy = policy
        self._trouble = trouble
        rounds = step.state.root.rounds if step.state.frames else 0
        self._round = f"~{rounds}" if rounds else ""
        """Tells the failure from those that were retried."""

    async def before(self) -> Decided | None:
        """To `skip`, where the run has failed and that was decided; None: enter the body.

        Raises:
            Parked: it is not decided yet, or the run is to go on otherwise.
            LaybyError: the run is to fail of what is recorded.
        """
        slot = self._step.recorded(self._key)
        if slot is None or not slot.settled:
            return None
        self._step.pass_over()
        known: _Known = await self._step.read(slot.result, _Known)
        decision = await self._decide(known)
        if decision.kind != "skip":
            self._fail(known)
        return decision

    def _fail(self, known: _Known) -> NoReturn:
        try:
            raise_failure(self._key, known.failure)
        except LaybyError as failed:
            blame(failed, *known.steps)
            raise

    async def about(self, error: Exception) -> Decided:
        """To `skip` a failure, or to `fail` with it. Raises Parked where it is otherwise."""

        async def effect() -> _Known:
            return _Known(failure_of(error), steps_of(error))

        known: _Known = await self._step.perform(
            self._key, effect, _Known, retry=NEVER, note=lambda known: reason_of(known.failure)
        )
        return await self._decide(known)

    @property
    def _key(self) -> str:
        return f"{ON_FAILURE}/{_FAILED}{self._round}"

    async def _decide(self, known: _Known) -> Decided:
        step = self._step.under(ON_FAILURE)
        name = f"{_ASK}{self._round}"
        trouble = await self._trouble(known.failure)
        decision = await decided(step, trouble, self._policy, name)
        if decision.kind in {"retry", "edit"}:
            event = decision.value if decision.kind == "edit" else NULL
            await step.do_again(known.steps, decision.question, whole=True, event=event)
        return decision


def run_trouble(
    workflow: str,
    event: Any,
    failure: Failure,
    *,
    fn: Callable[..., Any],
    fit: Callable[[Raw], None],
) -> Trouble:
    """A run that failed. `fit` raises BadValue for an event that cannot take the event's place."""

    def fitted(decision: Decided) -> Decided:
        match decision.kind:
            case "edit":
                raw = dump(decision.value)
                fit(raw)
                return decision._replace(value=raw)
            case "skip":
                return decision._replace(value=result(fn, decision.value))
            case _:
                return decision

    return Trouble(
        what=f"A run of workflow {workflow!r}",
        failure=failure,
        input=event,
        edit="{the event}",
        edited=dict[str, Any],
        fitted=fitted,
    )
