"""Turns the outcome of a body into a record: its result, or its failure."""

from __future__ import annotations

from .activation import Outcome
from .entry import NULL, Ended, Returned
from .errors import AskTimedOut, BudgetSpent, LaybyError, MaxTurns, RunCancelled
from .failure import failure_of, steps_of
from .ports import Ports
from .state import BUDGET_SPENT, CANCELLED, COMPLETED, FAILED, MAX_TURNS, TIMED_OUT, Frame
from .values import dump

_STATUS: dict[type[Exception], str] = {
    AskTimedOut: TIMED_OUT,
    BudgetSpent: BUDGET_SPENT,
    MaxTurns: MAX_TURNS,
    RunCancelled: CANCELLED,
}


async def deflated(outcome: Outcome, ports: Ports, run: str) -> Outcome:
    """The outcome with its value in recorded form."""
    if outcome.error is not None:
        return outcome
    try:
        raw = dump(outcome.value)
    except LaybyError as error:
        return Outcome(parked=False, error=error)
    return Outcome(parked=False, value=await ports.deflate(raw, run))


def returned(frame: Frame, outcome: Outcome) -> Returned:
    """The record that ends a called frame."""
    if outcome.error is not None:
        steps = steps_of(outcome.error)
        return Returned(frame=frame.id, error=failure_of(outcome.error), steps=steps)
    return Returned(frame=frame.id, result=outcome.value)


def ended(outcome: Outcome) -> Ended:
    """The record that ends the workflow's own frame."""
    error = outcome.error
    if error is None:
        return Ended(status=COMPLETED, result=outcome.value)
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), FAILED)
    failure = failure_of(error)
    return Ended(
        status=status, result=NULL, error=failure.message, failure=failure, steps=steps_of(error)
    )
