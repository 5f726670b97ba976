from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console, RenderableType

from layby.actors.people.answer import Receipt
from layby.cli.demo.screen import Screen
from layby.cli.invocation import Invocation
from layby.cli.screen import times
from layby.cli.screen.question_list import print_questions
from layby.cli.screen.run_detail import print_run
from layby.cli.screen.run_outcome import outcome_panel
from layby.cli.screen.streaming import StreamedText
from layby.cli.screen.tables import STATUS_STYLE, finding_table, question_table, run_table
from layby.cli.screen.timeline import Timeline
from layby.views.rows import (
    FailureRow,
    Finding,
    PlaceRow,
    QuestionRow,
    RunDetail,
    RunRow,
    StepRow,
    TimelineLine,
)

NOON = times.parse("2026-03-01T12:00:00Z")
HOSTILE = "\x1b[2Jwiped\x07"

DETAIL = RunDetail(
    id="abc",
    workflow="support_ticket",
    ticket="T125",
    status="completed",
    started_at="2026-03-01T12:00:00Z",
    updated_at="2026-03-01T12:01:20Z",
    result={"reply": "Fixed.", "tags": ["a"]},
    steps=[
        StepRow(n=1, at="2026-03-01T12:00:00Z", kind="run.started", name="started", actor="wf"),
        StepRow(
            n=2,
            at="2026-03-01T12:00:01Z",
            kind="step.done",
            name="get_ticket_details",
            actor="wf",
            seconds=0.25,
        ),
    ],
)
QUESTION = QuestionRow(
    id="q1",
    ticket="T125",
    role="developer",
    question="Is it known?",
    context="It crashes.",
    agent="Technical Support",
    run="abc",
    asked_at="2026-03-01T11:58:00Z",
    deadline="2026-03-01T16:00:00Z",
)


def console(*, tty: bool = False, encoding: str = "utf-8", width: int = 100) -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    return Console(file=file, width=width, force_terminal=tty, markup=False, highlight=False)


def text_of(target: Console) -> str:
    file = target.file
    file.seek(0)
    return file.read()


def drawn(shown: RenderableType, *, width: int = 100) -> str:
    target = console(width=width)
    target.print(shown)
    return text_of(target)


def line(kind: str, title: str = "", detail: str = "", *, after: float = 0) -> TimelineLine:
    at = f"2026-03-01T12:00:{after:06.3f}Z"
    return TimelineLine(
        at=at, run="abc", ticket="T125", kind=kind, actor="Agent", title=title, detail=detail
    )


def test_runs_show_their_status() -> None:
    rows = [
        RunRow(
            id="abc",
            workflow="wf",
            ticket="T1",
            status="waiting",
            started_at="2026-03-01T11:00:00Z",
            updated_at="2026-03-01T11:57:00Z",
        )
    ]
    text = drawn(run_table(rows, now=NOON))
    for part in ("abc", "T1", "wf", "waiting", "1 h ago", "3 min ago"):
        assert part in text


def test_failed_runs_show_why_in_one_line() -> None:
    row = RunRow(
        id="0123456789abcdef0123",
        workflow="wf",
        ticket="T1",
        status="failed",
        started_at="2026-03-01T11:00:00Z",
        updated_at="2026-03-01T11:57:00Z",
        reason=f"KeyError: 'amount'\n{HOSTILE} in pay (shop/app.py:41)",
    )
    text = drawn(run_table([row], now=NOON), width=200)
    assert "KeyError: 'amount' \\x1b[2Jwiped\\x07 in pay (shop/app.py:41)" in text
    narrow = drawn(run_table([row], now=NOON, width=80), width=80)
    assert "KeyError" in narrow
    assert len(narrow.splitlines()) == 2
    assert "reason" not in drawn(run_table([msgspec.structs.replace(row, reason="")], now=NOON))


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_long_reason_leaves_the_other_columns_whole(width: int) -> None:
    row = RunRow(
        id="0123456789abcdef0123",
        workflow="booming",
        ticket="T125",
        status="failed",
        started_at="2026-03-01T11:00:00Z",
        updated_at="2026-03-01T11:57:00Z",
        reason="StateConflict: two agents worked side by side, and " + "what they changed " * 9,
    )
    parent = msgspec.structs.replace(row, id="f" * 20, reason="")
    child = msgspec.structs.replace(row, parent=parent.id)
    text = drawn(run_table([parent, child], now=NOON, width=width), width=width)
    for part in (f"└ {row.id}", "T125", "booming", "failed", "3 min ago", "StateConflict"):
        assert part in text
    assert len(text.splitlines()) == 3
    assert ("1 h ago" in text) == (width > 80)


def test_a_failed_run_shows_the_place_and_the_causes() -> None:
    failed = msgspec.structs.replace(
        DETAIL,
        status="failed",
        result=None,
        error="'amount'",
        failure=FailureRow(
            type="KeyError",
            message="'amount'",
            place=PlaceRow(file="shop/app.py", line=41, function="pay"),
            causes=["OSError"],
        ),
    )
    shown = drawn(outcome_panel(failed))
    assert "KeyError: 'amount'" in shown
    assert "in pay (shop/app.py:41)" in shown
    assert "caused by OSError" in shown


@pytest.mark.parametrize("status", STATUS_STYLE)
def test_every_status_has_a_style_of_its_own(status: str) -> None:
    assert STATUS_STYLE[status]


def test_questions_show_what_and_until_when() -> None:
    text = drawn(question_table([QUESTION], now=NOON))
    for part in ("T125", "developer", "Is it known?", "It crashes.", "4 h left", "2 min ago"):
        assert part in text


@pytest.mark.parametrize("width", [40, 60, 80, 99, 100, 200])
def test_a_question_is_shown_whole_on_any_width(width: int) -> None:
    row = msgspec.structs.replace(
        QUESTION, agent="Technical Support", question="Is this a known problem, and since when?"
    )
    target = console(width=width)
    print_questions(target, Invocation(), [row], now=NOON)
    text = " ".join(text_of(target).partition("To answer")[0].split())
    for word in (*row.question.split(), *row.context.split(), row.id, "T125", "developer"):
        assert word in text
    assert "4 h left" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_runs_show_their_ticket_on_any_width(width: int) -> None:
    row = RunRow(
        id="0123456789abcdef0123",
        workflow="support_ticket",
        ticket="T125",
        status="completed",
        started_at="2026-03-01T11:00:00Z",
        updated_at="2026-03-01T11:57:00Z",
    )
    text = drawn(run_table([row], now=NOON, width=width), width=width)
    for part in (row.id, "T125", "support", "completed", "3 min ago"):
        assert part in text


def test_findings_show_what_to_do() -> None:
    finding = Finding(level="error", subject="server", message="too old", advice="upgrade it")
    text = drawn(finding_table([finding]))
    assert "error" in text
    assert "upgrade it" in text


def test_untrusted_text_cannot_move_the_cursor() -> None:
    row = QuestionRow(
        id="q",
        ticket=HOSTILE,
        role="developer",
        question=HOSTILE,
        context=HOSTILE,
        agent=HOSTILE,
        run="r",
        asked_at="2026-03-01T12:00:00Z",
        deadline="2026-03-01T12:00:00Z",
    )
    target = console()
    target.print(question_table([row]))
    Timeline(target).line(line("tool.called", HOSTILE, HOSTILE))
    assert "\x1b" not in text_of(target)
    assert "\x07" not in text_of(target)


def test_the_timeline_counts_from_its_first_line() -> None:
    target = console()
    timeline = Timeline(target)
    timeline.line(line("run.started", "started"))
    timeline.line(line("tool.called", "search", "two results", after=2.5))
    first, second = text_of(target).splitlines()
    assert first.split() == ["0.00s", "●", "Agent", "started"]
    assert second.split() == ["2.50s", "✓", "Agent", "search", "two", "results"]


def test_the_timeline_needs_no_unicode() -> None:
    target = console(encoding="ascii")
    Timeline(target).line(line("run.started", "started"))
    assert text_of(target).split() == ["0.00s", "*", "Agent", "started"]


def test_an_unknown_kind_of_line_is_still_shown() -> None:
    target = console()
    Timeline(target).line(line("something.new"))
    assert "something.new" in text_of(target)


def test_a_run_is_shown_from_its_start_to_its_result() -> None:
    target = console()
    print_run(target, Invocation(), DETAIL)
    text = text_of(target)
    for part in ("T125", "completed", "get_ticket_details", "250 ms", "reply", "Fixed."):
        assert part in text
    assert "1 min 20 s" in text


@pytest.mark.parametrize("result", [None, [1, 2], "done", 7, {}])
def test_any_result_can_be_shown(result: object) -> None:
    drawn(
        outcome_panel(
            RunDetail(
                id="a",
                workflow="w",
                ticket="t",
                status="completed",
                started_at="2026-03-01T12:00:00Z",
                updated_at="2026-03-01T12:00:00Z",
                result=result,
            )
        )
    )


def test_a_failed_run_shows_its_error() -> None:
    detail = RunDetail(
        id="a",
        workflow="w",
        ticket="t",
        status="failed",
        started_at="2026-03-01T12:00:00Z",
        updated_at="2026-03-01T12:00:03Z",
        error="the desk is on fire",
    )
    text = drawn(outcome_panel(detail))
    assert "failed after 3 s" in text
    assert "the desk is on fire" in text


def test_the_question_comes_with_all_ways_to_answer() -> None:
    target = console(width=60)
    Screen(target, typing=True).question(QUESTION, "developer.response.T125")
    text = text_of(target)
    assert "Technical Support asks developer about T125" in text
    assert "Type your answer here" in text
    assert "answer T125 'Fixed in v1.1.4'\n" in text
    assert 'developer.response.T125 \'{"answer":"Fixed in v1.1.4"}\'\n' in text


def test_there_is_no_prompt_without_a_terminal() -> None:
    target = console()
    Screen(target, typing=False).question(QUESTION, "developer.response.T125")
    assert "Type" not in text_of(target)
    assert ">" not in text_of(target)


def test_a_line_does_not_run_into_the_prompt() -> None:
    target = console()
    screen = Screen(target, typing=True)
    screen.prompt()
    screen.line(line("question.answered", "answered"))
    prompt, shown = text_of(target).splitlines()
    assert prompt.strip() == "your answer >"
    assert "answered" in shown


@pytest.mark.parametrize(("claude", "model"), [(True, "Claude"), (False, "offline script")])
def test_the_demo_says_which_model_it_uses(*, claude: bool, model: str) -> None:
    target = console()
    Screen(target, typing=False).opening("T125", Path("data"), claude=claude)
    assert model in text_of(target)


def test_a_refused_answer_says_why() -> None:
    target = console()
    receipt = Receipt(outcome="too_late", ticket="T125", reason="ada was first")
    Screen(target, typing=True).refused(receipt)
    assert "too late: ada was first" in text_of(target)


def test_the_text_of_models_is_printed_as_it_arrives() -> None:
    target = console(tty=True)
    streamed = StreamedText(target)
    assert streamed.is_visible
    for answer, actor, text in [("a", "Ann", "Hel"), ("a", "Ann", "lo\n"), ("b", "Bob", HOSTILE)]:
        data = {"step": "model#0", "answer": answer, "index": 0}
        delta = TimelineLine(
            at="", run="r", ticket="T", kind="text.delta", actor=actor, detail=text, data=data
        )
        streamed.delta(delta)
    streamed.end()
    streamed.end()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text_of(target))
    assert plain == "Ann: Hello\n\nBob: \\x1b[2Jwiped\\x07\n"
    assert not StreamedText(console()).is_visible
