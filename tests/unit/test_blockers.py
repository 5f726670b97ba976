"""What people must fix before a run continues, and how a body's outcome is recorded."""

from __future__ import annotations

import pytest

from layby.bus.errors import NotConnected, PermissionDenied
from layby.runtime.activation import Outcome
from layby.runtime.blockers import BUDGET, SPENT_BUDGET, Blocker, blocker_of, need_of
from layby.runtime.entry import NULL, ROOT, Raw
from layby.runtime.errors import (
    AnswerDoubted,
    AskTimedOut,
    BudgetSpent,
    InvalidSetup,
    MaxTurns,
    NoQuorum,
    RunCancelled,
    Undeclared,
    WorkflowChanged,
)
from layby.runtime.failure import blame
from layby.runtime.outcome import ended, returned
from layby.runtime.state import Frame


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (AnswerDoubted("x"), "setup", "Look at the question in the log, then correct and deploy"),
        (WorkflowChanged("x"), "code", "Deploy code that fits what is recorded"),
        (Undeclared("x"), "version", "Start a worker that declares this version"),
        (InvalidSetup("x"), "setup", "Correct what the app declares, and deploy it"),
        (PermissionDenied("x"), "permission", "Grant the worker this permission, then retry"),
    ],
)
def test_what_people_can_fix_blocks_a_run_and_says_how(
    error: BaseException, kind: str, advice: str
) -> None:
    need = need_of(error)
    assert need is not None
    assert need.kind == kind
    assert need.advice.startswith(advice)


@pytest.mark.parametrize("error", [OSError("down"), NotConnected("x"), AskTimedOut("late")])
def test_any_other_failure_blocks_nothing(error: Exception) -> None:
    assert need_of(error) is None
    assert blocker_of(error) is None


def test_an_error_may_bring_what_it_needs() -> None:
    class Unpaid(Exception):
        need = SPENT_BUDGET

    class Odd(OSError):
        need = "money"

    assert need_of(Unpaid()) is SPENT_BUDGET
    assert SPENT_BUDGET.kind == BUDGET
    assert need_of(Odd()) is None


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as raised:
        return raised


def test_a_blocker_says_why_where_and_at_which_step() -> None:
    blocker = blocker_of(_raised(WorkflowChanged("no step 'pay'")), "pay")
    assert blocker is not None
    assert blocker.key == "pay"
    assert blocker.reason.startswith("no step 'pay' (in ")
    assert "test_blockers.py" in blocker.reason


def test_a_blocker_without_a_place_has_only_its_reason() -> None:
    found = blocker_of(InvalidSetup("no model"))
    assert found is not None
    assert (found.reason, found.key) == ("no model", "")
    assert found == Blocker(found.need, "no model")
    assert blocker_of(None, "pay") is None


# -- the outcome of a body ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AskTimedOut("late"), "timed_out"),
        (BudgetSpent("all"), "budget_spent"),
        (MaxTurns("ten"), "max_turns"),
        (RunCancelled("stop"), "cancelled"),
        (NoQuorum("no"), "failed"),
        (OSError("down"), "failed"),
    ],
)
def test_a_run_ends_with_the_status_of_its_error(error: Exception, status: str) -> None:
    blame(error, "send")
    record = ended(Outcome(parked=False, error=error))
    assert (record.status, record.error, record.result) == (status, str(error), NULL)
    assert record.steps == ["send"]
    assert record.failure is not None
    assert record.failure.type == type(error).__name__


def test_a_run_that_returns_is_completed_with_its_result() -> None:
    record = ended(Outcome(parked=False, value=Raw(b"7")))
    assert (record.status, record.result, record.error) == ("completed", Raw(b"7"), "")
    assert (record.failure, record.steps) == (None, [])


def test_a_called_frame_returns_its_result_or_its_failure_with_the_steps() -> None:
    frame = Frame(id=f"{ROOT}/team", actor="network-team")
    assert returned(frame, Outcome(parked=False, value=Raw(b"7"))).result == Raw(b"7")
    error = OSError("down")
    blame(error, "model#0")
    record = returned(frame, Outcome(parked=False, error=error))
    assert (record.frame, record.steps, record.result) == (frame.id, ["model#0"], NULL)
    assert record.error is not None
    assert record.error.message == "down"
