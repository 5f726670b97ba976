"""The record of a ticket: its questions, and the runs that wait on them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.actors.people.parked_question import Shown, parked_question
from layby.actors.people.tickets import ParkedRecord, decode, holds_all, with_question
from layby.runtime.state import Question, RunState
from tests.examples import examples

EMPTY = ParkedRecord(ticket="T1")


def question(ref: str = "q1", status: str = "open", **more: Any) -> Question:
    return Question(
        id=ref,
        frame="w",
        key="ask",
        role="developer",
        question="?",
        asked_at=10.0,
        deadline=20.0,
        status=status,
        **more,
    )


def run(ref: str = "run", *questions: Question) -> RunState:
    return RunState(id=ref, tail=5, ticket="T1", questions={q.id: q for q in questions})


def test_a_question_is_shown_with_its_run() -> None:
    asked = question()
    state = run("run", asked)
    record = with_question(EMPTY, state, asked, Shown(since=9.5))
    [shown] = record.questions
    assert (shown.id, shown.run, shown.status, shown.since) == ("q1", "run", "open", 9.5)
    assert (shown.asked_at, shown.deadline) == (
        "1970-01-01T00:00:10.000Z",
        "1970-01-01T00:00:20.000Z",
    )
    assert record.runs == {"run": state}


def test_showing_it_again_changes_nothing() -> None:
    asked = question()
    once = with_question(EMPTY, run("run", asked), asked, Shown(since=9.5))
    again = with_question(once, run("run", asked), asked, Shown(since=9.5))
    assert again == once


def test_questions_stay_in_the_order_they_were_asked() -> None:
    record = EMPTY
    for ref in ("q3", "q1", "q2"):
        record = with_question(record, run(f"run-{ref}"), question(ref))
    assert [q.id for q in record.questions] == ["q3", "q1", "q2"]


@pytest.mark.parametrize("status", ["answered", "expired", "cancelled"])
def test_a_closed_question_keeps_how_it_ended_and_lets_its_run_go(status: str) -> None:
    asked = question()
    record = with_question(EMPTY, run("run", asked), asked, Shown(since=9.5))
    closed = question(status=status, text="yes", by="ada", at=15.0, seq=4)
    record = with_question(record, run("run", closed), closed)
    [shown] = record.questions
    assert (shown.status, shown.by, shown.seq) == (status, "ada", 4)
    assert shown.closed_at == "1970-01-01T00:00:15.000Z"
    assert shown.since == 9.5  # what judges answers is not lost
    assert record.runs == {}


def test_a_question_closes_only_once() -> None:
    answered = question(status="answered", by="ada", at=15.0, seq=4)
    record = with_question(EMPTY, run("run", answered), answered)
    late = question(status="expired", at=16.0)
    assert with_question(record, run("run", late), late) == record
    assert with_question(record, run("run", question()), question()) == record


def test_a_run_stays_as_long_as_one_of_its_questions_is_open() -> None:
    one, two = question("q1"), question("q2")
    record = with_question(EMPTY, run("run", one, two), one)
    record = with_question(record, run("run", one, two), two)
    closed = question("q1", status="answered", at=15.0)
    record = with_question(record, run("run", closed, two), closed)
    assert list(record.runs) == ["run"]
    closed = question("q2", status="answered", at=16.0)
    assert with_question(record, run("run", closed), closed).runs == {}


def test_runs_on_one_ticket_do_not_touch_each_other() -> None:
    record = with_question(EMPTY, run("one"), question("q1"))
    record = with_question(record, run("two"), question("q2"))
    closed = question("q1", status="cancelled", at=15.0)
    record = with_question(record, run("one"), closed)
    assert list(record.runs) == ["two"]
    assert [q.status for q in record.questions] == ["cancelled", "open"]


def test_a_record_keeps_a_bounded_number_of_closed_questions() -> None:
    record = with_question(EMPTY, run("open"), question("open"))
    for number in range(200):
        closed = question(f"q{number}", status="answered", at=15.0)
        record = with_question(record, run(f"run{number}"), closed)
    assert len(record.questions) == 33
    assert record.questions[0].id == "open"  # open ones are never forgotten
    assert record.questions[-1].id == "q199"


@pytest.mark.parametrize(
    ("places", "newest", "all_of_them"),
    [
        ([(7, 0)], 7, True),
        ([(7, 0), (9, 7)], 9, True),
        ([(9, 7), (7, 0)], 9, True),
        ([(7, 0)], 9, False),  # another one is newer
        ([(9, 7)], 9, False),  # another one was before
        ([(7, -1)], 7, False),  # nobody knows what was before
        ([(0, -1)], 7, False),  # of an earlier release
        ([(7, 7)], 7, False),  # no server says so
        ([(7, 9), (9, 7)], 9, False),
        ([], 7, False),
    ],
)
def test_a_record_says_whether_it_holds_all_that_was_published(
    places: list[tuple[int, int]], newest: int, *, all_of_them: bool
) -> None:
    record = EMPTY
    for number, (seq, after) in enumerate(places):
        asked = question(f"q{number}")
        record = with_question(record, run("run", asked), asked, Shown(1.0, (), seq, after))
    assert holds_all(record, "developer", newest) == all_of_them
    assert not holds_all(record, "lawyer", newest)


def test_a_record_is_read_as_it_was_written() -> None:
    asked = question(context="c", agent="A", form={"type": "string"})
    record = with_question(EMPTY, run("run", asked), asked, Shown(since=9.5))
    assert decode(msgspec.json.encode(record)) == record


def test_what_was_written_by_a_newer_release_can_be_read() -> None:
    shown = parked_question(run(), question())
    data = msgspec.json.decode(msgspec.json.encode(ParkedRecord(ticket="T1", questions=(shown,))))
    data["something"] = "new"
    data["questions"][0]["something"] = "new"
    assert decode(msgspec.json.encode(data)).questions == (shown,)


changes = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["open", "answered", "expired", "cancelled"])),
    max_size=20,
)


@settings(deadline=None, database=None, max_examples=examples(200))
@given(changes)
def test_a_closed_question_stays_closed_in_any_order_of_changes(
    changes: list[tuple[int, str]],
) -> None:
    record = EMPTY
    first_end: dict[str, str] = {}
    for number, status in changes:
        ref = f"q{number}"
        record = with_question(record, run(f"run{number}"), question(ref, status, at=15.0))
        if status != "open":
            first_end.setdefault(ref, status)
        by_id = {q.id: q.status for q in record.questions}
        assert all(by_id[ref] == status for ref, status in first_end.items())
        waits = {q.run for q in record.questions if q.status == "open"}
        assert set(record.runs) <= waits
        assert len(by_id) == len(record.questions)
