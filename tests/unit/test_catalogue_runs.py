"""The catalogue's table of runs finds what a plain loop over the rows finds."""

from __future__ import annotations

import itertools
import sqlite3
import weakref
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.console.catalogue.bars import width_of
from layby.console.catalogue.entries import Bar
from layby.console.catalogue.query import Cursor, InvalidCursor, RunQuery, shown_status
from layby.console.catalogue.run_table import RunTable, millis
from layby.console.catalogue.schema import SCHEMA
from layby.runtime.times import iso
from layby.views.rows import RunRow

TICKETS = ["T1", "T2", "Straße", "a b"]
WORKFLOWS = ["ask", "solve"]
STATUSES = ["running", "waiting", "completed", "failed"]


@st.composite
def rows(draw: st.DrawFn) -> list[RunRow]:
    made: list[RunRow] = []
    for number in range(draw(st.integers(0, 25))):
        status = draw(st.sampled_from(STATUSES))
        started = draw(st.integers(0, 5)) * 1000.0
        waits = draw(st.sampled_from(["people", "retry", "sleep"])) if status == "waiting" else ""
        made.append(
            RunRow(
                id=f"{number:020x}",
                workflow=draw(st.sampled_from(WORKFLOWS)),
                ticket=draw(st.sampled_from(TICKETS)),
                status=status,  # type: ignore[arg-type]
                started_at=iso(started),
                updated_at=iso(started + draw(st.integers(0, 3)) * 500),
                ended_at=iso(started + 10) if status in {"completed", "failed"} else None,
                waits=waits,
                roles=["developer"] if waits == "people" else [],
                question=draw(st.sampled_from(["", "How BAD is it?", "50 % off_"])),
                labels=draw(st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from("xy"))),
            )
        )
    return made


@st.composite
def queries(draw: st.DrawFn) -> RunQuery:
    maybe = st.none
    return RunQuery(
        status=frozenset(draw(st.sets(st.sampled_from([*STATUSES, "retrying", "sleeping"])))),
        workflow=draw(maybe() | st.sampled_from(WORKFLOWS)),
        ticket=draw(maybe() | st.sampled_from(TICKETS)),
        role=draw(maybe() | st.sampled_from(["developer", "dev"])),
        text=draw(maybe() | st.sampled_from(["bad", "STRASSE", "0 % O", "f_", "T1", "0000a"])),
        labels=draw(st.sampled_from([(), (("a", "x"),), (("a", "x"), ("b", "y"))])),
        time=draw(st.sampled_from(["started", "updated", "ended"])),
        since=draw(maybe() | st.integers(0, 6).map(lambda n: iso(n * 1000.0))),
        until=draw(maybe() | st.integers(0, 6).map(lambda n: iso(n * 1000.0))),
        limit=draw(st.integers(1, 6)),
    )


def table(made: list[RunRow]) -> RunTable:
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    found = RunTable(db)
    weakref.finalize(found, db.close)
    found.put(enumerate(made))
    return found


def at(row: RunRow, query: RunQuery) -> str | None:
    return {"started": row.started_at, "updated": row.updated_at, "ended": row.ended_at}[query.time]


def wanted(row: RunRow, query: RunQuery, *, status: bool = True) -> bool:
    time = at(row, query)
    words = f"{row.id}\n{row.ticket}\n{row.workflow}\n{row.question}".casefold()
    return (
        time is not None
        and (not status or not query.status or shown_status(row) in query.status)
        and query.workflow in {None, row.workflow}
        and query.ticket in {None, row.ticket}
        and (query.role is None or query.role in row.roles)
        and all(row.labels.get(name) == value for name, value in query.labels)
        and (query.since is None or millis(time) >= millis(query.since))
        and (query.until is None or millis(time) < millis(query.until))
        and (query.text is None or query.text.casefold() in words)
    )


@given(rows(), queries())
def test_pages_hold_each_run_that_fits_once_newest_first(
    made: list[RunRow], query: RunQuery
) -> None:
    found, seen, cursor = table(made), list[RunRow](), None
    pages = 0
    while True:
        page = found.page(_with(query, cursor))
        assert len(page.runs) <= query.limit
        seen += page.runs
        pages += 1
        if page.next is None:
            break
        cursor = page.next
    assert sorted(row.id for row in seen) == sorted(r.id for r in made if wanted(r, query))
    times = [millis(at(row, query) or "") for row in seen]
    assert times == sorted(times, reverse=True)
    assert pages == max(1, -(-len(seen) // query.limit))


@given(rows(), queries())
def test_the_way_back_leads_over_the_same_pages(made: list[RunRow], query: RunQuery) -> None:
    found = table(made)
    forth = [found.page(query)]
    while forth[-1].next is not None:
        forth.append(found.page(_with(query, forth[-1].next)))
    page = forth[-1]
    for before in reversed(forth[:-1]):
        assert page.previous is not None
        page = found.page(_with(query, page.previous))
        assert page.runs == before.runs
    assert page.previous is None


@given(rows(), queries())
def test_counts_are_those_of_the_rows(made: list[RunRow], query: RunQuery) -> None:
    expected = Counter(shown_status(row) for row in made if wanted(row, query, status=False))
    assert table(made).counts(query) == dict(expected)
    assert table(made).counts() == dict(Counter(map(shown_status, made)))


@given(rows(), queries(), st.integers(1, 7))
def test_the_bars_of_the_chart_hold_each_run_that_fits(
    made: list[RunRow], query: RunQuery, bars: int
) -> None:
    found = table(made).overview(query, bars)
    assert found.counts == table(made).counts(query)
    chart = found.bars
    assert 1 <= len(chart) <= bars
    assert all(before.end == after.start for before, after in itertools.pairwise(chart))
    assert _held(chart) == Counter(shown_status(row) for row in made if wanted(row, query))


def test_time_alone_moves_no_bar() -> None:
    day = 24 * 3600 * 1000
    narrow = width_of(0, 40 * day, 48)
    assert narrow == day
    assert {width_of(0, end, 48) for end in range(40 * day, 48 * day, day // 3)} == {narrow}
    assert width_of(0, 48 * day + 1, 48) == 2 * day
    assert width_of(1, 2, 48) == 1


def _held(chart: list[Bar]) -> Counter[str]:
    held = Counter[str]()
    for bar in chart:
        held.update(bar.counts)
    return held


def _starts(chart: list[Bar]) -> dict[str, dict[str, int]]:
    return {bar.start: bar.counts for bar in chart if bar.counts}


@given(rows(), st.data())
def test_rows_that_change_or_go_leave_counts_and_lists_right(
    made: list[RunRow], data: st.DataObject
) -> None:
    found, t1 = table(made), RunQuery(text="t1")
    assert found.counts(t1) == table(made).counts(t1)
    assert _held(found.overview(RunQuery(), 5).bars) == Counter(map(shown_status, made))
    again = data.draw(rows())
    found.put(enumerate(again))
    gone = data.draw(st.sets(st.sampled_from([f"{n:020x}" for n in range(26)])))
    found.remove(sorted(gone))
    left = {row.id: row for row in [*made, *again] if row.id not in gone}
    assert found.counts() == dict(Counter(map(shown_status, left.values())))
    fresh = table(list(left.values()))
    assert found.counts(t1) == fresh.counts(t1), "what was found before may have changed"
    assert _starts(found.overview(RunQuery(), 5).bars) == _starts(
        fresh.overview(RunQuery(), 5).bars
    )
    assert {row.id: row for row in found.page(RunQuery(limit=100)).runs} == left
    assert all(found.get(each) is None for each in gone)
    kept = data.draw(st.sets(st.sampled_from([f"{n:020x}" for n in range(26)])))
    assert set(found.keep_only(kept)) == left.keys() - kept
    left = {key: row for key, row in left.items() if key in kept}
    assert {row.id: row for row in found.page(RunQuery(limit=100)).runs} == left
    of_one = [row for row in left.values() if row.workflow == "ask"]
    assert found.counts(RunQuery(workflow="ask")) == dict(Counter(map(shown_status, of_one)))


def test_the_names_to_filter_by_are_those_that_rows_have() -> None:
    row = RunRow(
        id="1" * 20,
        workflow="ask",
        ticket="T1",
        status="waiting",
        started_at=iso(0),
        updated_at=iso(0),
        waits="people",
        roles=["lead", "developer"],
        labels={"customer": "Ada", "area": "x=y"},
    )
    found = table([row])
    assert found.workflows() == ["ask"]
    assert found.roles() == ["developer", "lead"]
    assert found.label_names() == ["area", "customer"]
    assert found.page(RunQuery(labels=(("area", "x=y"),))).runs == [row]


@pytest.mark.parametrize("text", ["", "x", "AAAA", "bm8", "é", "W10", "W1t9"])
def test_a_cursor_of_somebody_elses_making_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor, match="begin without one"):
        table([]).page(RunQuery(cursor=text))


def test_a_cursor_survives_the_row_that_it_was_made_of() -> None:
    assert table([]).page(RunQuery(cursor=str(Cursor("started", 1, 1)))).runs == []


def _with(query: RunQuery, cursor: str | None) -> RunQuery:
    return replace(query, cursor=cursor)
