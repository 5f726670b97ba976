"""The tables of questions: the open ones, and what was asked and answered before."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ...actors.people.answer import Receipt
from ...runtime.times import iso
from ...views.question_row import without_expired_claim
from ...views.rows import QuestionRow
from .entries import AnswerRow, Due, HistoryPage, QuestionThread
from .query import LAST, OpenPlace, QuestionQuery, place_of
from .run_table import millis

_MOST_ANSWERS: Final = 50
"""Receipts of one question that are kept."""
_RECEIPT: Final = """
INSERT OR IGNORE INTO receipts (answer, question, outcome, by, at, reason)
SELECT ?, ?, ?, ?, ?, ? WHERE ? = 'accepted'
OR (SELECT count(*) FROM receipts WHERE question = ?) < ?
"""
_CLOSED: Final = "NOT EXISTS (SELECT 1 FROM open WHERE open.id = asked.id)"
_decoder = msgspec.msgpack.Decoder(QuestionRow)
_encode = msgspec.msgpack.Encoder().encode


def _decode(data: bytes) -> QuestionRow:
    return without_expired_claim(_decoder.decode(data), time.time())


class QuestionTable:
    """Open questions by their deadline, and all questions by when they were asked."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # -- open questions ------------------------------------------------------------------------

    def open(self, rows: Iterable[QuestionRow]) -> None:
        """Write open questions."""
        self._db.executemany(
            "INSERT OR REPLACE INTO open (id, role, roles, ticket, asked, deadline, words, row) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    row.id,
                    row.role,
                    " ".join(sorted(row.roles)),
                    row.ticket,
                    row.asked_at,
                    row.deadline,
                    _words(row),
                    _encode(row),
                )
                for row in rows
            ],
        )

    def close(self, ids: Iterable[str]) -> None:
        """Remove questions that are not open any more."""
        self._db.executemany("DELETE FROM open WHERE id = ?", [(each,) for each in ids])

    def keep_open(self, ids: set[str]) -> list[str]:
        """Remove all but these; return the removed ones."""
        found = self._db.execute("SELECT id FROM open").fetchall()
        gone = [each for (each,) in found if each not in ids]
        self.close(gone)
        return gone

    def clear_open(self) -> None:
        """Forget the open questions."""
        self._db.execute("DELETE FROM open")

    def listed(
        self, role: str | None = None, ticket: str | None = None, text: str | None = None
    ) -> list[QuestionRow]:
        """The open questions, nearest deadline first."""
        where, values = _where((("role", role), ("ticket", ticket)), text)
        found = self._db.execute(
            f"SELECT row FROM open WHERE {where} ORDER BY deadline, id",  # noqa: S608
            values,
        )
        return [_decode(row) for (row,) in found]

    def open_counts(self) -> tuple[Counter[frozenset[str]], QuestionRow | None]:
        """How many questions are open by the roles that are asked, and the one asked last."""
        found = self._db.execute("SELECT roles, count(*) FROM open GROUP BY roles").fetchall()
        last = self._db.execute("SELECT row FROM open ORDER BY asked DESC LIMIT 1").fetchone()
        counts = Counter({frozenset(roles.split()): count for roles, count in found})
        return counts, None if last is None else _decode(last[0])

    def due(self, before: str | None, limit: int) -> Due[QuestionRow]:
        """The open questions whose deadline is before a time, the next ones first."""
        where, values = ("1", []) if before is None else ("deadline < ?", [before])
        found = self._db.execute(
            f"SELECT row FROM open WHERE {where} ORDER BY deadline, id LIMIT ?",  # noqa: S608
            [*values, limit],
        )
        rows = [_decode(row) for (row,) in found]
        counted = self._db.execute(f"SELECT count(*) FROM open WHERE {where}", values)  # noqa: S608
        return Due(rows, counted.fetchone()[0])

    def open_by_role(self) -> dict[str, tuple[int, float]]:
        """By role: how many questions are open, and when the oldest was asked, Unix seconds."""
        found = self._db.execute("SELECT role, count(*), min(asked) FROM open GROUP BY role")
        return {
            role: (count, datetime.fromisoformat(oldest).timestamp())
            for role, count, oldest in found.fetchall()
        }

    def oldest(self) -> str | None:
        """When the question that has been open longest was asked; None: none is open."""
        found: str | None = self._db.execute("SELECT min(asked) FROM open").fetchone()[0]
        return found

    # -- history -------------------------------------------------------------------------------

    def asked(self, rows: Iterable[tuple[int, QuestionRow]]) -> None:
        """Write questions as they were published, each with its sequence."""
        self._db.executemany(
            "INSERT OR REPLACE INTO asked (seq, id, run, role, ticket, words, row) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (seq, row.id, row.run, row.role, row.ticket, _words(row), _encode(row))
                for seq, row in rows
            ],
        )

    def answered(self, receipts: Iterable[Receipt]) -> None:
        """Write the receipts of answers to a question."""
        self._db.executemany(
            _RECEIPT,
            [
                (
                    receipt.seq,
                    receipt.question,
                    receipt.outcome,
                    receipt.by or "",
                    receipt.at,
                    receipt.reason or "",
                    receipt.outcome,
                    receipt.question,
                    _MOST_ANSWERS,
                )
                for receipt in receipts
                if receipt.question
            ],
        )

    def forget(self, runs: Iterable[str]) -> None:
        """Forget what removed runs asked, and the receipts of the answers."""
        ids = [(run,) for run in runs]
        of_run = "SELECT id FROM asked WHERE run = ?"
        self._db.executemany(f"DELETE FROM receipts WHERE question IN ({of_run})", ids)  # noqa: S608
        self._db.executemany("DELETE FROM asked WHERE run = ?", ids)

    def clear_history(self) -> None:
        """Forget what was asked and answered."""
        self._db.execute("DELETE FROM asked")
        self._db.execute("DELETE FROM receipts")

    def thread(self, question: str) -> QuestionThread | None:
        """A question, open or closed, with its answers."""
        found = self._db.execute("SELECT row FROM open WHERE id = ?", (question,)).fetchone()
        if found is None:
            found = self._db.execute("SELECT row FROM asked WHERE id = ?", (question,)).fetchone()
        return None if found is None else self._thread(_decode(found[0]))

    def page(self, query: QuestionQuery) -> HistoryPage:
        """A page of questions. Raises InvalidCursor."""
        place, items = place_of(query), list[QuestionThread]()
        if isinstance(place, OpenPlace):
            asked = self._open_after(query, place)
            items = [self._thread(row) for row in asked[: query.limit]]
            if len(asked) > query.limit:
                last = asked[query.limit - 1]
                return HistoryPage(items=items, next=str(OpenPlace(last.deadline, last.id)))
            place = LAST
        found = self._closed_before(query, place, query.limit - len(items))
        left = query.limit - len(items)
        items += [self._thread(_decode(row)) for _, row in found[:left]]
        if len(found) <= left:
            return HistoryPage(items=items)
        return HistoryPage(items=items, next=str(found[left - 1][0] if left else LAST))

    def _open_after(self, query: QuestionQuery, place: OpenPlace) -> list[QuestionRow]:
        if query.by:
            return []  # nobody has answered those
        where, values = _of_query(query)
        found = self._db.execute(
            f"SELECT row FROM open WHERE {where} AND (deadline, id) > (?, ?) "  # noqa: S608
            "ORDER BY deadline, id LIMIT ?",
            [*values, place.deadline, place.id, query.limit + 1],
        )
        return [_decode(row) for (row,) in found]

    def _closed_before(self, query: QuestionQuery, seq: int, limit: int) -> list[tuple[int, bytes]]:
        where, values = _of_query(query)
        found = self._db.execute(
            f"SELECT seq, row FROM asked WHERE {where} AND {_CLOSED} AND seq < ? "  # noqa: S608
            "ORDER BY seq DESC LIMIT ?",
            [*values, seq, limit + 1],
        )
        return found.fetchall()

    def count(self, query: QuestionQuery) -> int:
        """How many questions fit, whatever the page."""
        where, values = _of_query(query)
        tables = [f"asked WHERE {where} AND {_CLOSED}"]
        if query.with_open and not query.by:
            tables.append(f"open WHERE {where}")
        counts = [
            self._db.execute(f"SELECT count(*) FROM {each}", values).fetchone()[0]  # noqa: S608
            for each in tables
        ]
        return sum(counts)

    def history(
        self,
        by: str | None = None,
        role: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> HistoryPage:
        """Questions that are closed, the one that was asked last first. Raises InvalidCursor."""
        return self.page(QuestionQuery(by=by, role=role, text=text, cursor=cursor, limit=limit))

    def people(self) -> list[str]:
        """Who has answered."""
        found = self._db.execute(
            "SELECT DISTINCT by FROM receipts WHERE outcome = 'accepted' AND by != '' "
            "ORDER BY by LIMIT 500"
        )
        return [by for (by,) in found]

    def _thread(self, row: QuestionRow) -> QuestionThread:
        found = self._db.execute(
            "SELECT outcome, by, at, answer, reason FROM receipts WHERE question = ? "
            "ORDER BY answer",
            (row.id,),
        )
        answers = [
            AnswerRow(outcome=outcome, by=by, at=at, seq=seq, reason=reason)
            for outcome, by, at, seq, reason in found
        ]
        is_open = self._db.execute("SELECT 1 FROM open WHERE id = ?", (row.id,)).fetchone()
        run = self._db.execute("SELECT ended FROM runs WHERE id = ?", (row.run,)).fetchone()
        ended = None if run is None else run[0]
        status = _status(row, answers, ended, is_open=is_open is not None)
        row = msgspec.structs.replace(row, status=status)
        return QuestionThread(question=row, status=status, answers=answers)


def _status(row: QuestionRow, answers: list[AnswerRow], ended: int | None, *, is_open: bool) -> str:
    """How it ended, if it did; `ended` is when its run did, in milliseconds."""
    if any(answer.outcome == "accepted" for answer in answers):
        return "answered"
    if is_open:
        return "open"
    if ended is not None and ended < millis(row.deadline):
        return "closed"  # whose deadline passes later does not expire
    over = row.deadline <= iso(datetime.now(UTC).timestamp())
    return "expired" if over else "closed"


def _words(row: QuestionRow) -> str:
    words = (row.id, row.ticket, row.role, row.question, row.context[:4_000], row.agent)
    return "\n".join(words).casefold()


def _of_query(query: QuestionQuery) -> tuple[str, list[Any]]:
    """The condition of a query, which holds for the open and the closed questions."""
    where, values = _where((("role", query.role), ("ticket", query.ticket)), query.text)
    if query.roles is not None:
        where += f" AND role IN ({','.join('?' * len(query.roles))})"
        values += sorted(query.roles)
    if query.by:
        where += (
            " AND EXISTS (SELECT 1 FROM receipts WHERE question = id AND by = ? "
            "AND outcome = 'accepted')"
        )
        values.append(query.by)
    return where, values


def _where(equal: Iterable[tuple[str, str | None]], text: str | None) -> tuple[str, list[Any]]:
    texts, values = ["1"], list[Any]()
    for column, value in equal:
        if value:
            texts.append(f"{column} = ?")
            values.append(value)
    if text:
        texts.append("instr(words, ?)")
        values.append(text.casefold())
    return " AND ".join(texts), values
