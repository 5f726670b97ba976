"""The catalogue's pages of questions hold what a plain loop over the questions finds."""

from __future__ import annotations

import sqlite3
import weakref
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.people.answer import Receipt
from layby.console.catalogue.query import InvalidCursor, QuestionQuery
from layby.console.catalogue.question_table import QuestionTable
from layby.console.catalogue.schema import SCHEMA
from layby.runtime.times import iso
from layby.views.rows import QuestionRow

ROLES = ["boss", "developer"]


@st.composite
def questions(draw: st.DrawFn) -> list[tuple[QuestionRow, bool, str]]:
    """Questions in the order in which they were asked, whether open, and who has answered."""
    made: list[tuple[QuestionRow, bool, str]] = []
    for number in range(draw(st.integers(0, 15))):
        row = QuestionRow(
            id=f"q{number:013}",
            ticket=draw(st.sampled_from(["T1", "T2"])),
            role=draw(st.sampled_from(ROLES)),
            question=draw(st.sampled_from(["How BAD?", "Well?"])),
            context="",
            agent="",
            run="1" * 20,
            asked_at=iso(number),
            deadline=iso(draw(st.integers(100, 104))),
        )
        is_open = draw(st.booleans())
        made.append((row, is_open, "" if is_open else draw(st.sampled_from(["", "ada", "bob"]))))
    return made


@st.composite
def queries(draw: st.DrawFn) -> QuestionQuery:
    maybe = st.none
    return QuestionQuery(
        with_open=draw(st.booleans()),
        by=draw(maybe() | st.sampled_from(["ada", "eve"])),
        role=draw(maybe() | st.sampled_from(ROLES)),
        roles=draw(maybe() | st.frozensets(st.sampled_from(ROLES))),
        ticket=draw(maybe() | st.just("T1")),
        text=draw(maybe() | st.just("bad")),
        limit=draw(st.integers(1, 5)),
    )


def table(made: list[tuple[QuestionRow, bool, str]]) -> QuestionTable:
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    found = QuestionTable(db)
    weakref.finalize(found, db.close)
    found.asked([(seq, row) for seq, (row, _, _) in enumerate(made, 1)])
    found.open([row for row, is_open, _ in made if is_open])
    found.answered(
        [
            Receipt(
                outcome="accepted", ticket=row.ticket, question=row.id, by=by, at=iso(50), seq=n
            )
            for n, (row, _, by) in enumerate(made)
            if by
        ]
    )
    return found


def wanted(row: QuestionRow, by: str, query: QuestionQuery) -> bool:
    return (
        query.by in {None, by}
        and query.role in {None, row.role}
        and (query.roles is None or row.role in query.roles)
        and query.ticket in {None, row.ticket}
        and (query.text is None or query.text in row.question.casefold())
    )


@given(questions(), queries())
def test_pages_hold_each_question_that_fits_once_in_its_order(
    made: list[tuple[QuestionRow, bool, str]], query: QuestionQuery
) -> None:
    fit = [(row, is_open) for row, is_open, by in made if wanted(row, by, query)]
    open_ = sorted((row.deadline, row.id) for row, is_open in fit if is_open)
    expected = [id_ for _, id_ in open_] if query.with_open else []
    expected += [row.id for row, is_open in reversed(fit) if not is_open]
    found, seen, cursor = table(made), list[str](), None
    while True:
        page = found.page(replace(query, cursor=cursor))
        assert len(page.items) <= query.limit
        seen += [each.question.id for each in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == expected
    assert found.count(query) == len(expected)


@pytest.mark.parametrize("with_open", [True, False])
@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "²", "AAAA", "WzEsMl0", "é"])
def test_a_cursor_of_somebody_elses_making_is_refused(text: str, *, with_open: bool) -> None:
    with pytest.raises(InvalidCursor, match="begin without one"):
        table([]).page(QuestionQuery(cursor=text, with_open=with_open))


@pytest.mark.parametrize("text", ["0", "9" * 19, "1"])
def test_a_number_is_a_place_even_if_nothing_is_there(text: str) -> None:
    assert table([]).page(QuestionQuery(cursor=text)).items == []
