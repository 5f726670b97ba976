"""How a body that was left is recorded: what it returned, or what it failed of."""

from __future__ import annotations

from .activation import Outcome
from .entry import NULL, Ended, Returned
from .errors import AskTimedOut, BudgetSpent, LaybyError, MaxTurns, RunCancelled
from .failure import failure_of, steps_of
from .services import Services
from .state import BUDGET_SPENT, CANCELLED, COMPLETED, FAILED, MAX_TURNS, TIMED_OUT, Frame
from .values import dump

_STATUS: dict[type[Exception], str] = {
    AskTimedOut: TIMED_OUT,
    BudgetSpent: BUDGET_SPENT,
    MaxTurns: MAX_TURNS,
    RunCancelled: CANCELLED,
}


async def kept(outcome: Outcome, services: Services, run: str) -> Outcome:
    """The outcome with its value as it is recorded."""
    if outcome.error is not None:
        return outcome
    try:
        raw = dump(outcome.value)
    except LaybyError as error:
        return Outcome(parked=False, error=error)
    return Outcome(parked=False, value=await services.deflate(raw, run))


def returned(frame: Frame, outcome: Outcome) -> Returned:
    """The record of a frame that another called."""
    if outcome.error is not None:
        steps = steps_of(outcome.error)
        return Returned(frame=frame.id, error=failure_of(outcome.error), steps=steps)
    return Returned(frame=frame.id, result=outcome.value)


def ended(outcome: Outcome) -> Ended:
    """The record of the workflow's own frame."""
    error = outcome.error
    if error is None:
        return Ended(status=COMPLETED, result=outcome.value)
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), FAILED)
    failure = failure_of(error)
    return Ended(
        status=status, result=NULL, error=failure.message, failure=failure, steps=steps_of(error)
    )
