"""The log of `layby dev`: one short line for each thing that happens to a run."""

from __future__ import annotations

import io
from typing import Any

import pytest

from layby.cli.screen.run_log_lines import RunLogLine

AT = "2026-03-01T12:00:00Z"


def output(encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def shown(event: str, *, encoding: str = "utf-8", **facts: Any) -> str:
    line = {"event": event, "timestamp": AT, "ticket": "T1", "run": "3f9a", "level": "info"}
    return RunLogLine(output(encoding))(None, "info", {**line, **facts})


@pytest.mark.parametrize(
    ("event", "facts", "words"),
    [
        ("run.started", {"workflow": "refund"}, "● T1  refund started  run 3f9a"),
        (
            "question.asked",
            {"role": "developer", "text": "Known?"},
            "? T1  asks developer: Known?  run 3f9a",
        ),
        ("question.answered", {"by": "ada", "text": "Yes"}, "✓ T1  ada answered: Yes"),
        ("question.answered", {"by": "", "text": "Yes"}, "somebody answered: Yes"),
        ("question.reminded", {"to": "", "told": "ada"}, "reminds ada"),
        ("question.escalated", {"to": "role:lead", "told": "bob"}, "asks role:lead too bob"),
        ("question.claimed", {"by": "ada", "until": AT}, f"ada is on it until {AT}"),
        (
            "question.passed",
            {"by": "ada", "to": "role:lead", "told": "bob"},
            "ada passed it to role:lead bob",
        ),
        ("question.declined", {"by": "ada"}, "ada declined"),
        ("question.opened", {"by": "ada"}, "· T1  ada opened the question"),
        ("question.expired", {}, "! T1  nobody answered in time"),
        (
            "step.failed",
            {"step": "pay", "error": "KeyError"},
            "✗ T1  step pay failed: KeyError  run",
        ),
        (
            "step.failed",
            {"step": "pay", "error": "KeyError", "place": "shop.py:4", "again_at": AT},
            f"step pay failed: KeyError in shop.py:4; again at {AT}",
        ),
        ("run.completed", {"seconds": 80.0}, "■ T1  completed after 1 min 20 s"),
        ("run.failed", {"status": "timed_out", "error": "late"}, "timed_out: late"),
        ("run.cancelled", {"reason": "a duplicate"}, "cancelled a duplicate"),
        ("run.blocked", {"error": "no step", "needs": "deploy"}, "! T1  blocked: no step; deploy"),
        ("run.reopened", {"by": "ada", "why": "fixed"}, "resumed by ada fixed"),
        ("run.reopened", {"by": "", "why": ""}, "resumed by somebody"),
    ],
)
def test_a_line_says_what_happened_on_which_ticket(
    event: str, facts: dict[str, Any], words: str
) -> None:
    line = shown(event, **facts)
    assert words in line
    assert line.endswith("run 3f9a")
    assert "\n" not in line


def test_signs_are_ascii_where_the_terminal_is() -> None:
    assert "* T1  refund started" in shown("run.started", encoding="ascii", workflow="refund")
    assert "x T1" in shown("step.failed", encoding="ascii", step="pay", error="late")


def test_a_long_question_is_cut_and_its_line_never_wrapped() -> None:
    line = shown("question.asked", role="developer", text="word " * 200)
    assert "…" in line
    assert len(line) < 160
    assert "\n" not in line


def test_a_traceback_follows_on_the_lines_below() -> None:
    trace = "shop.py:4: total = order['amount']"
    line, below = shown("step.failed", step="pay", error="KeyError", exception=trace).split("\n")
    assert "step pay failed" in line
    assert below == trace


def test_one_line_does_not_repeat_the_one_before() -> None:
    writer = RunLogLine(output())
    event = {"timestamp": AT, "run": "3f9a", "workflow": "refund"}
    first = writer(None, "info", {**event, "event": "run.started", "ticket": "LONG-TICKET-1"})
    second = writer(None, "info", {**event, "event": "run.started", "ticket": "T2"})
    assert "LONG-TICKET-1" in first
    assert "LONG-TICKET-1" not in second
    assert "T2" in second


def test_text_from_outside_cannot_move_the_cursor() -> None:
    line = shown("question.asked", role="developer", text="\x1b[2Jgone", ticket="\x07T")
    assert "\x1b" not in line
    assert "\x07" not in line


def test_what_is_about_no_run_is_shown_as_a_worker_shows_it() -> None:
    line = RunLogLine(output())(
        None, "info", {"event": "worker.ready", "timestamp": AT, "level": "info", "streams": 3}
    )
    assert "worker.ready" in line
    assert "streams" in line
    assert "run " not in line
