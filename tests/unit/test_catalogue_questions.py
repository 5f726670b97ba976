"""The catalogue's tables of questions say how each of them ended."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from layby.actors.people.answer import Receipt
from layby.console.catalogue.question_table import QuestionTable
from layby.console.catalogue.run_table import RunTable
from layby.console.catalogue.schema import SCHEMA
from layby.console.login.session import Rights
from layby.console.tally import Tally
from layby.runtime.quorum import Quorum
from layby.runtime.times import iso
from layby.views.rows import QuestionRow, RunRow

NOW = time.time()
RUN = f"{7:020x}"


@pytest.fixture
def db() -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(SCHEMA)
        yield made


def row(id_: str = "q1", *, deadline: float = NOW + 3600) -> QuestionRow:
    return QuestionRow(
        id=id_,
        ticket="T1",
        role="developer",
        question="Well?",
        context="",
        agent="handle",
        run=RUN,
        asked_at=iso(NOW - 300),
        deadline=iso(deadline),
    )


def ended(db: sqlite3.Connection, at: float, status: Any = "cancelled") -> None:
    run = RunRow(
        id=RUN,
        workflow="handle",
        ticket="T1",
        status=status,
        started_at=iso(NOW - 400),
        updated_at=iso(at),
        ended_at=iso(at),
    )
    RunTable(db).put([(1, run)])


def status(db: sqlite3.Connection, question: str = "q1") -> str:
    thread = QuestionTable(db).thread(question)
    assert thread is not None
    assert thread.question.status == thread.status
    return thread.status


def receipt(question: str, outcome: Any, seq: int, by: str = "ada") -> Receipt:
    return Receipt(outcome=outcome, ticket="T1", question=question, by=by, at=iso(NOW), seq=seq)


def test_a_question_is_open_until_it_is_closed(db: sqlite3.Connection) -> None:
    table = QuestionTable(db)
    table.asked([(1, row())])
    table.open([row()])
    assert status(db) == "open"
    table.close(["q1"])
    assert status(db) == "closed"


def test_a_question_past_its_deadline_is_open_while_it_is_listed(db: sqlite3.Connection) -> None:
    table = QuestionTable(db)
    table.open([row(deadline=NOW - 60)])
    assert status(db) == "open"


def test_a_question_that_nobody_answered_has_expired(db: sqlite3.Connection) -> None:
    QuestionTable(db).asked([(1, row(deadline=NOW - 60))])
    assert status(db) == "expired"
    ended(db, NOW - 50, "completed")
    assert status(db) == "expired"


def test_a_question_of_a_run_that_ended_before_its_deadline_was_closed_and_never_expires(
    db: sqlite3.Connection,
) -> None:
    QuestionTable(db).asked([(1, row(deadline=NOW - 60))])
    ended(db, NOW - 61)
    assert status(db) == "closed"


def test_an_answer_that_was_accepted_says_how_it_ended(db: sqlite3.Connection) -> None:
    table = QuestionTable(db)
    table.asked([(1, row(deadline=NOW - 60))])
    table.answered([receipt("q1", "already_answered", 9, "bob"), receipt("q1", "accepted", 8)])
    ended(db, NOW - 61)
    assert status(db) == "answered"
    thread = table.thread("q1")
    assert thread is not None
    assert [(each.seq, each.by) for each in thread.answers] == [(8, "ada"), (9, "bob")]
    assert thread.won == thread.answers[0]


def test_what_a_run_asked_is_forgotten_with_it_and_nothing_else(db: sqlite3.Connection) -> None:
    table = QuestionTable(db)
    other = msgspec.structs.replace(row("q2"), run="f" * 20)
    table.asked([(1, row()), (2, other)])
    table.answered([receipt("q1", "accepted", 8), receipt("q2", "accepted", 9, "bob")])
    table.forget([RUN])
    assert table.thread("q1") is None
    assert [item.question.id for item in table.history().items] == ["q2"]
    assert table.people() == ["bob"]
    assert db.execute("SELECT count(*) FROM receipts").fetchone() == (1,)


# -- counts in the rail ------------------------------------------------------------------------


def shared(id_: str, number: int = 2) -> QuestionRow:
    """A question that two roles decide together."""
    both = Quorum(number=number, groups={"legal": 1, "finance": 1})
    return msgspec.structs.replace(row(id_), role="legal", quorum=both)


def tally_of(db: sqlite3.Connection) -> Tally:
    tally = Tally()
    tally.open_by_roles, last = QuestionTable(db).open_counts()
    tally.newest = "the last one"
    tally.newest_roles = () if last is None else last.roles
    return tally


def only(*roles: str) -> Rights:
    return Rights(view=False, roles=frozenset(roles), operate=False)


def test_a_question_to_several_roles_counts_once_for_each_who_sees_one_of_them(
    db: sqlite3.Connection,
) -> None:
    QuestionTable(db).open([row("q1"), shared("q2"), shared("q3")])
    tally = tally_of(db)
    for rights, count in (
        (Rights(), 3),
        (only("legal", "finance"), 2),
        (only("finance"), 2),
        (only("legal"), 2),
        (only("developer"), 1),
        (only("developer", "finance"), 3),
        (only("hr"), 0),
    ):
        assert tally.seen_by(rights)["open"] == count, rights
    QuestionTable(db).close(["q2"])
    assert tally_of(db).seen_by(only("finance"))["open"] == 1


def test_the_newest_question_is_announced_to_each_role_that_is_asked(
    db: sqlite3.Connection,
) -> None:
    QuestionTable(db).open([shared("q2")])
    assert tally_of(db).seen_by(only("finance"))["newest"] == "the last one"
    assert tally_of(db).seen_by(only("developer"))["newest"] == ""
