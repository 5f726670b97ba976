"""A failure as a question to a person, what they may decide, and what a parent run is told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from layby.actors.workflows.children import (
    _failure as failure_for_parent,  # pyright: ignore[reportPrivateUsage]
)
from layby.runtime.ask_on_failure import (
    AskOnFailure,
    FailureDecision,
    FailureQuestion,
    fit_result,
    policy_of,
    step_failure,
)
from layby.runtime.duration import InvalidDuration
from layby.runtime.entry import Failure
from layby.runtime.errors import InvalidSetup, StepFailed
from layby.runtime.forms import answer_value, fit, schema_of
from layby.runtime.state import RunState
from layby.runtime.values import BadValue


@dataclass
class Order:
    id: str
    cents: int = 0


def pay(order: Order, *, urgent: bool = False) -> int:
    return order.cents if urgent else 0


def untyped(order: Any, urgent: Any) -> Any:
    return order, urgent


FAILED = StepFailed("pay", "the bank is closed", "OSError", 3)


def asked(fn: Any = pay, *args: Any) -> FailureQuestion:
    return step_failure("pay", fn, FAILED, args or (Order("A1", 100),))


# -- the question -----------------------------------------------------------------------------


def test_the_question_says_what_failed_and_why_on_one_line() -> None:
    assert asked().question == (
        "Step 'pay' failed: OSError: the bank is closed. What is to be done?"
    )


def test_the_context_shows_the_input_as_far_as_it_can_be_shown() -> None:
    assert asked().context == 'input: [{"id": "A1", "cents": 100}]'
    assert asked(pay, "zoë").context == 'input: ["zoë"]'
    assert asked(pay, object()).context == "input: it cannot be shown as JSON"
    assert len(asked(pay, "x" * 9_000).context) == 4_000


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("retry", "retry"),
        ("fail", "fail"),
        ('{"edit": [{"id": "B2"}]}', "edit"),
        ('{"skip": 7}', "skip"),
        ('{"skip": null}', "skip"),
    ],
)
def test_a_person_decides_exactly_one_thing(text: str, kind: str) -> None:
    form = asked().form
    assert fit(text, schema_of(form)) == ""
    value = answer_value(text, form)
    assert (value if isinstance(value, str) else next(iter(dict(value)))) == kind


@pytest.mark.parametrize(
    "text",
    ["", "yes", "retry now", '{"edit": {}}', '{"skip": 1, "edit": []}', "{}", '{"retry": 1}'],
)
def test_what_is_no_decision_is_refused_with_those_that_there_are(text: str) -> None:
    why = fit(text, schema_of(asked().form))
    assert "answer `retry` or `fail`" in why
    assert '{"edit": [the input]}' in why
    assert '{"skip": value}' in why


# -- the decision -----------------------------------------------------------------------------


def test_an_edited_input_becomes_what_the_step_takes() -> None:
    edit = FailureDecision("edit", [{"id": "B2", "cents": 7}, True], "q1")
    found = asked().fit(edit)
    assert found == FailureDecision("edit", [Order("B2", 7), True], "q1")
    assert asked(partial(pay, urgent=True)).fit(edit).value[0] == Order("B2", 7)
    assert asked(untyped).fit(edit).value == [{"id": "B2", "cents": 7}, True]


def test_a_value_to_go_on_with_becomes_what_the_step_returns() -> None:
    assert asked().fit(FailureDecision("skip", 7)).value == 7
    assert asked(untyped).fit(FailureDecision("skip", {"a": 1})).value == {"a": 1}
    assert fit_result(pay, 9) == 9


@pytest.mark.parametrize(
    "decision",
    [
        FailureDecision("edit", [{"cents": 7}]),
        FailureDecision("edit", [{"id": 7}]),
        FailureDecision("skip", "seven"),
        FailureDecision("skip", None),
    ],
)
def test_what_does_not_fit_the_steps_types_is_refused(decision: FailureDecision) -> None:
    with pytest.raises(BadValue):
        asked().fit(decision)


@pytest.mark.parametrize("kind", ["retry", "fail"])
def test_other_decisions_stay_as_they_are(kind: str) -> None:
    decision = FailureDecision(kind, question="q1")
    assert asked().fit(decision) == decision


# -- the policy -------------------------------------------------------------------------------


def test_a_policy_is_given_by_a_word_or_in_full() -> None:
    policy = AskOnFailure(role="lead", timeout="2h")
    assert policy_of(policy) is policy
    assert policy_of("ask") == AskOnFailure(role="developer", timeout="4h")
    assert policy_of(None) is None


@pytest.mark.parametrize("given", ["retry", True, 7])
def test_any_other_policy_is_refused(given: Any) -> None:
    with pytest.raises(InvalidSetup, match="give 'ask' or an AskOnFailure"):
        policy_of(given)


def test_people_need_some_time_to_decide() -> None:
    with pytest.raises(InvalidDuration):
        AskOnFailure(timeout=0)


# -- what a parent is told --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "failure", "type_"),
    [
        ("timed_out", None, "AskTimedOut"),
        ("cancelled", None, "RunCancelled"),
        ("max_turns", Failure(type="MaxTurns", message="x"), "MaxTurns"),
        ("budget_spent", Failure(type="BudgetSpent", message="x"), "BudgetSpent"),
        ("failed", Failure(type="KeyError", message="x", attempts=5), "KeyError"),
        ("failed", Failure(type="MaxTurns", message="x"), "StepFailed"),
        ("failed", None, "StepFailed"),
    ],
)
def test_a_parent_is_told_how_its_child_ended(
    status: str, failure: Failure | None, type_: str
) -> None:
    """Its own turns or budget are not used up because those of its child are."""
    found = failure_for_parent(RunState(id="r", status=status, error="why", failure=failure))
    assert (found.type, found.attempts) == (type_, 1)
    assert found.message == ("why" if failure is None else "x")
