"""`layby show`: the head of a run, its parts in order, and how it ended or what it waits for."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from layby.cli.invocation import Invocation
from layby.cli.screen.run_detail import print_head, print_run
from layby.cli.screen.run_outcome import outcome_panel
from layby.views.rows import FailureRow, QuestionRow, RunDetail, RunRow, StepRow

AT = "2026-03-01T12:00:00Z"


def detail(**fields: Any) -> RunDetail:
    known: dict[str, Any] = {"id": "abc", "workflow": "refund", "ticket": "T125"}
    known |= {"status": "waiting", "started_at": AT, "updated_at": "2026-03-01T12:00:03Z"}
    return RunDetail(**{**known, **fields})


def console() -> Console:
    return Console(file=io.StringIO(), width=120, markup=False, highlight=False)


def text_of(target: Console) -> str:
    file: Any = target.file
    return str(file.getvalue())


def head(**fields: Any) -> list[str]:
    target = console()
    print_head(target, detail(**fields))
    return text_of(target).splitlines()


def outcome(**fields: Any) -> str:
    target = console()
    target.print(outcome_panel(detail(**fields)))
    return text_of(target)


def test_a_run_without_more_to_say_has_a_head_of_two_lines() -> None:
    first, second, empty = head()
    assert first == "T125  refund  waiting"
    assert second.startswith("run abc, started ")
    assert empty == ""


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"labels": {"team": "eu", "tier": "gold"}}, "team:eu, tier:gold"),
        ({"input_tokens": 1200, "output_tokens": 30}, "1,200 tokens read, 30 written"),
        ({"output_tokens": 30}, "0 tokens read, 30 written"),
        (
            {"input_tokens": 1200, "output_tokens": 30, "cost": 0.01234},
            "1,200 tokens read, 30 written, $0.0123",
        ),
        ({"trace": "0af7"}, "trace 0af7"),
    ],
)
def test_the_head_says_what_is_known_of_a_run(fields: dict[str, Any], line: str) -> None:
    assert head(**fields)[2] == line


def test_a_title_stands_before_what_is_dim() -> None:
    assert head(title="Refund of\norder 12")[1] == "Refund of order 12"


def test_a_run_is_shown_in_the_order_in_which_people_ask() -> None:
    question = QuestionRow(
        id="q1",
        ticket="T125",
        role="developer",
        question="Known?",
        context="",
        agent="Anna",
        run="abc",
        asked_at=AT,
        deadline="2026-03-01T16:00:00Z",
    )
    child = RunRow(
        id="child-1", workflow="pay", ticket="T125", status="waiting", started_at=AT, updated_at=AT
    )
    step = StepRow(n=1, at=AT, kind="step.done", name="look_up", actor="wf")
    target = console()
    print_run(target, Invocation(), detail(steps=[step], children=[child], questions=[question]))
    text = text_of(target)
    order = ["run abc", "look_up", "child-1", "Known?", "it is parked and waits"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("status", "says"),
    [("running", "it is running"), ("waiting", "it is parked and waits; no worker holds it")],
)
def test_a_run_that_goes_on_says_where_it_is(status: str, says: str) -> None:
    assert outcome(status=status) == f"{says}\n"


def test_a_blocked_run_says_why_and_what_to_do() -> None:
    shown = outcome(status="blocked", error="the step pay is gone", needs="deploy 1.2 again")
    assert "blocked: it continues once this is fixed" in shown
    assert shown.index("the step pay is gone") < shown.index("deploy 1.2 again")


def test_a_run_without_a_result_says_so() -> None:
    shown = outcome(status="completed")
    assert "completed after 3 s" in shown
    assert "no result" in shown


def test_a_result_of_fields_has_a_line_for_each() -> None:
    shown = outcome(status="completed", result={"reply": "Fixed.", "tags": ["a"]})
    inside = [line.strip("│ ").split() for line in shown.splitlines()[1:-1]]
    assert inside == [["reply", "Fixed."], ["tags", "["], ['"a"'], ["]"]]


@pytest.mark.parametrize(("result", "text"), [("done\n", "done"), ([], "[]"), ({}, "{}"), (0, "0")])
def test_another_result_is_shown_as_it_is(result: object, text: str) -> None:
    assert text in outcome(status="completed", result=result)


def test_an_error_that_is_only_its_type_is_not_said_twice() -> None:
    failure = FailureRow(type="TimeoutError", message="")
    assert "TimeoutError: TimeoutError" not in outcome(
        status="failed", error="TimeoutError", failure=failure
    )


def test_the_causes_of_an_error_are_named_the_nearest_first() -> None:
    failure = FailureRow(type="PayError", message="no", causes=["HTTPError", "OSError"])
    shown = outcome(status="failed", error="no", failure=failure)
    assert "PayError: no" in shown
    assert "caused by HTTPError, then OSError" in shown
    assert "in " not in shown.replace("caused by", "").split("PayError")[0]


def test_a_timed_out_run_says_so_and_no_result_is_missing() -> None:
    shown = outcome(status="timed_out", error="no end within 4 h")
    assert "timed_out after 3 s" in shown
    assert "no end within 4 h" in shown
    assert "no result" not in shown
