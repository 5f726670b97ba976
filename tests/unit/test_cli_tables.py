"""The lists of the command line: runs below their parents, dead letters, the audit trail."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from layby.cli.screen import times
from layby.cli.screen.tables import (
    audit_table,
    blocked_reasons,
    dead_table,
    deadline,
    question_text,
    run_table,
    with_depth,
)
from layby.runtime.quorum import Quorum
from layby.views.rows import AuditRow, DeadRow, QuestionRow, RunRow

WHY = "a duplicate; it has ended"
NOON = times.parse("2026-03-01T12:00:00Z")
AT = "2026-03-01T11:57:00Z"


def run(name: str, **fields: Any) -> RunRow:
    known: dict[str, Any] = {"workflow": "wf", "ticket": "T1", "status": "waiting"}
    known |= {"started_at": AT, "updated_at": AT, **fields}
    return RunRow(id=name, **known)


def audit(**fields: Any) -> AuditRow:
    known: dict[str, Any] = {"id": 7, "at": AT, "by": "ada", "verb": "cancel", "what": "run 3f9a"}
    known |= {"outcome": "done", **fields}
    return AuditRow(**known)


def lines(shown: RenderableType, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(shown)
    file: Any = console.file
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_children_are_below_their_parent_the_oldest_first() -> None:
    rows = [
        run("late", parent="top", started_at="2026-03-01T11:59:00Z"),
        run("other"),
        run("early", parent="top", started_at="2026-03-01T11:58:00Z"),
        run("top"),
        run("deep", parent="early"),
    ]
    found = [(depth, row.id) for depth, row in with_depth(rows)]
    assert found == [(0, "other"), (0, "top"), (1, "early"), (2, "deep"), (1, "late")]


def test_a_child_whose_parent_is_not_in_the_list_stands_alone() -> None:
    assert with_depth([run("child", parent="elsewhere")]) == [(0, run("child", parent="elsewhere"))]


@given(st.lists(st.integers(-1, 6), max_size=7))
def test_each_run_is_listed_once_whoever_started_it(parents: list[int]) -> None:
    """A run is started by an older one, as in any log."""
    rows = [run(f"r{n}", parent=f"r{up}" if up < n else None) for n, up in enumerate(parents)]
    listed = with_depth(rows)
    assert sorted(row.id for _, row in listed) == sorted(row.id for row in rows)
    above = {row.id: depth for depth, row in listed}
    for depth, row in listed:
        assert depth == (above[row.parent] + 1 if row.parent in above else 0)


def test_grandchildren_are_indented_further() -> None:
    rows = [run("top"), run("child", parent="top"), run("grandchild", parent="child")]
    _, *shown = lines(run_table(rows, now=NOON))
    assert [line.partition("  T1")[0].rstrip() for line in shown] == [
        "top",
        "└ child",
        "  └ grandchild",
    ]


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (74, "run ticket workflow status updated"),
        (75, "run ticket workflow status updated reason"),
        (99, "run ticket workflow status updated reason"),
        (100, "run ticket workflow status started updated reason"),
    ],
)
def test_a_narrow_screen_shows_fewer_columns_of_failed_runs(width: int, columns: str) -> None:
    head, *_ = lines(run_table([run("r1", reason="late")], now=NOON, width=width), 200)
    assert head.split() == columns.split()


@pytest.mark.parametrize(("width", "starts"), [(74, False), (75, True)])
def test_without_reasons_there_is_room_for_the_start(width: int, *, starts: bool) -> None:
    head, *_ = lines(run_table([run("r1")], now=NOON, width=width), 200)
    assert ("started" in head) == starts
    assert "reason" not in head


def test_a_reason_for_blocked_runs_is_said_once_with_what_to_do() -> None:
    rows = [
        run(name, status="blocked", reason="the step\npay is gone", needs="deploy 1.2 again")
        for name in ("a", "b")
    ]
    found = blocked_reasons([*rows, run("c", status="failed", reason="late")])
    assert [str(each) for each in found] == ["blocked: the step pay is gone\n  deploy 1.2 again"]


def test_at_most_five_reasons_are_said() -> None:
    rows = [run(f"r{n}", status="blocked", reason=f"why {n}", needs="fix it") for n in range(9)]
    assert [str(each).split("\n")[0] for each in blocked_reasons(rows)] == [
        f"blocked: why {n}" for n in range(5)
    ]


def test_a_dead_letter_shows_its_number_where_it_came_from_and_why() -> None:
    row = DeadRow(id=12, at=AT, subject="a.b", reason="not\nJSON", mailbox="m", size=1, body="{")
    head, shown = lines(dead_table([row], now=NOON))
    assert head.split() == ["id", "published", "subject", "reason"]
    assert shown.split() == ["12", "3", "min", "ago", "a.b", "not", "JSON"]


def test_a_command_shows_who_gave_it_for_what_reason_and_its_outcome() -> None:
    row = audit(why="a duplicate", outcome="refused", reason="it has ended")
    head, shown = lines(audit_table([row], now=NOON, width=120))
    assert head.split() == ["id", "when", "who", "verb", "what", "outcome", "reason"]
    assert shown.split("  ")[2:] == ["ada", "cancel", "run 3f9a", "refused", WHY]


def test_on_a_narrow_screen_the_reason_is_below_what_it_was_about() -> None:
    head, shown, below = lines(audit_table([audit(why="a duplicate")], now=NOON, width=99), 99)
    assert "reason" not in head
    assert "run 3f9a" in shown
    assert below.strip() == "a duplicate"
    assert len(lines(audit_table([audit()], now=NOON, width=99), 99)) == 2


@pytest.mark.parametrize(
    ("outcome", "style"), [("done", "green"), ("waiting", "yellow"), ("failed", "red")]
)
def test_an_outcome_has_the_colour_of_how_good_it_is(outcome: str, style: str) -> None:
    table = audit_table([audit(outcome=outcome)], now=NOON)
    column = next(each for each in table.columns if each.header == "outcome")
    assert [getattr(cell, "style", "") for cell in column.cells] == [style]


@pytest.mark.parametrize(
    ("at", "style"), [("2026-03-01T12:14:59Z", "red"), ("2026-03-01T12:15:00Z", "")]
)
def test_a_deadline_within_a_quarter_of_an_hour_is_red(at: str, style: str) -> None:
    text = deadline(at, NOON)
    assert str(text.style) == style
    assert str(text).startswith("15 min left\n")


def test_what_several_people_decide_says_who_has_voted() -> None:
    row = QuestionRow(
        id="q1",
        ticket="T1",
        role="developer",
        question="Pay?",
        context="300 EUR",
        agent="Anna",
        run="r1",
        asked_at=AT,
        deadline="2026-03-01T16:00:00Z",
        form={"type": "boolean"},
        quorum=Quorum(number=2),
    )
    shown = str(question_text(row, NOON)).splitlines()
    assert shown[:2] == ["Pay?", "300 EUR"]
    assert shown[-1].endswith(": nobody has voted yet")
