"""The table of runs: written by the row, read by the page."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from ...runtime.times import iso
from ...views.rows import RunRow
from .bars import AllBars, covering, width_of
from .entries import Bar, Due, Overview, RunPage
from .query import MOST, Cursor, RunQuery, shown_status

_FIELDS: Final = {"started": "started", "updated": "updated", "ended": "ended"}
_UPSERT: Final = """
INSERT INTO runs
(id, seq, shown, workflow, ticket, roles, started, updated, ended, due, words, labels, row)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, shown = excluded.shown,
    workflow = excluded.workflow, ticket = excluded.ticket, roles = excluded.roles,
    started = excluded.started, updated = excluded.updated, ended = excluded.ended,
    due = excluded.due, words = excluded.words, labels = excluded.labels, row = excluded.row
"""
_ASLEEP: Final = frozenset({"retrying", "sleeping"})
_AT_ONCE: Final = 500
"""Rows that one statement names."""
_MOST_FOUND: Final = 1_000
"""Runs with a text that are named one by one in a statement."""
_NAMES: Final = RunRow.__struct_fields__


def _encode(row: RunRow) -> bytes:
    """Without the names of the fields, which would be half of it."""
    return msgspec.msgpack.encode(msgspec.structs.astuple(row))


def _decode(data: bytes) -> RunRow:
    return RunRow(**dict(zip(_NAMES, msgspec.msgpack.decode(data), strict=True)))


class _Counted(NamedTuple):
    """What a run counts as."""

    workflow: str
    shown: str
    started: int


class Where(NamedTuple):
    """A condition and its values."""

    text: str
    values: list[Any]


def millis(text: str) -> int:
    """A time in milliseconds; one without a zone is UTC."""
    then = datetime.fromisoformat(text)
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return round(then.timestamp() * 1000)


class RunTable:
    """Runs by number, with the counts of all of them at hand."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._counts: Counter[tuple[str, str]] = Counter()
        """By workflow and shown status."""
        self._bars = AllBars(db)
        self._found: tuple[str, list[int] | None] = "", None
        """The text that was searched last, and the runs with it, until a run changes."""

    def put(self, rows: Iterable[tuple[int, RunRow]]) -> None:
        """Write rows, each with its sequence in the stream."""
        values = [_values(seq, row) for seq, row in rows]
        before = self._counted([value[0] for value in values])
        self._db.executemany(_UPSERT, values)
        for run, _, shown, workflow, _, _, started, *_ in values:
            if (old := before.get(run)) is not None:
                self._note(old, -1)
            before[run] = new = _Counted(workflow, shown, started)
            self._note(new, 1)

    def remove(self, ids: list[str]) -> None:
        """Remove rows; those that do not exist are passed over."""
        for old in self._counted(ids).values():
            self._note(old, -1)
        self._db.executemany("DELETE FROM runs WHERE id = ?", [(each,) for each in ids])

    def keep_only(self, ids: set[str]) -> list[str]:
        """Remove all but these; return the removed ones."""
        found = self._db.execute("SELECT id FROM runs")
        gone = [each for (each,) in found if each not in ids]
        for at in range(0, len(gone), _AT_ONCE):
            self.remove(gone[at : at + _AT_ONCE])
        return gone

    def _where(self, query: RunQuery) -> Where:
        """The condition of a query; a text is searched for once, however often it is asked for."""
        if not query.text:
            return _where(query)
        if self._found[0] != query.text:
            self._found = query.text, self._with_text(query.text)
        numbers = self._found[1]
        if numbers is None:
            return _where(query)
        where = _where(replace(query, text=None))
        return Where(f"{where.text} AND number IN ({','.join(map(str, numbers))})", where.values)

    def _with_text(self, text: str) -> list[int] | None:
        """The numbers of the runs with a text; None: too many to name them."""
        found = self._db.execute(
            "SELECT number FROM runs WHERE instr(words, ?) LIMIT ?",
            [text.casefold(), _MOST_FOUND + 1],
        ).fetchall()
        return None if len(found) > _MOST_FOUND else [number for (number,) in found]

    def _note(self, run: _Counted, count: int) -> None:
        self._found = "", None
        self._counts[run.workflow, run.shown] += count
        self._bars.note(run.started, run.shown, count)

    def _counted(self, ids: list[str]) -> dict[str, _Counted]:
        """What the runs that exist here count as."""
        marks = ",".join("?" * len(ids))
        found = self._db.execute(
            f"SELECT id, workflow, shown, started FROM runs WHERE id IN ({marks})",  # noqa: S608
            ids,
        )
        return {run: _Counted(*rest) for run, *rest in found}

    def clear(self) -> None:
        """Forget everything."""
        self._db.execute("DELETE FROM runs")
        self._counts.clear()
        self._bars.forget()
        self._found = "", None

    def get(self, run: str) -> RunRow | None:
        """A run by its id."""
        found = self._db.execute("SELECT row FROM runs WHERE id = ?", (run,)).fetchone()
        return None if found is None else _decode(found[0])

    def due(self, before: str, limit: int) -> Due[RunRow]:
        """The runs that sleep or back off until before a time, the next ones first."""
        until = [millis(before)]
        found = self._db.execute(
            "SELECT row FROM runs WHERE due < ? ORDER BY due, number LIMIT ?", [*until, limit]
        )
        rows = [_decode(row) for (row,) in found]
        total = self._db.execute("SELECT count(*) FROM runs WHERE due < ?", until).fetchone()[0]
        return Due(rows, total)

    def page(self, query: RunQuery) -> RunPage:
        """A page of runs, newest first. Raises InvalidCursor."""
        cursor = None if query.cursor is None else Cursor.parse(query.cursor)
        field = _FIELDS[query.time if cursor is None else cursor.time]
        where = self._where(query)
        limit = max(1, min(MOST, query.limit))
        back = cursor is not None and cursor.back
        rows = self._select(field, where, cursor, limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        if back:
            rows.reverse()
        older, newer = (cursor is not None, more) if back else (more, cursor is not None)
        edges = [] if not rows else [rows[0], rows[-1]]
        time = query.time if cursor is None else cursor.time
        return RunPage(
            runs=[_decode(row[2]) for row in rows],
            previous=str(Cursor(time, *edges[0][:2], back=True)) if newer and edges else None,
            next=str(Cursor(time, *edges[1][:2])) if older and edges else None,
        )

    def _select(
        self, field: str, where: Where, cursor: Cursor | None, limit: int
    ) -> list[tuple[int, int, bytes]]:
        order = "ASC" if cursor is not None and cursor.back else "DESC"
        text, values = where.text, list(where.values)
        if cursor is not None:
            text += f" AND ({field}, number) {'>' if cursor.back else '<'} (?, ?)"
            values += [cursor.at, cursor.number]
        found = self._db.execute(
            f"SELECT {field}, number, row FROM runs WHERE {field} IS NOT NULL AND {text} "  # noqa: S608
            f"ORDER BY {field} {order}, number {order} LIMIT ?",
            [*values, limit],
        )
        return found.fetchall()

    def counts(self, query: RunQuery | None = None) -> dict[str, int]:
        """How many runs there are by shown status, whatever status the query asks for."""
        rest = RunQuery() if query is None else replace(query, status=frozenset())
        if not replace(rest, workflow=None).filters:
            counts = Counter[str]()
            for (workflow, shown), count in self._counts.items():
                if count and rest.workflow in {None, "", workflow}:
                    counts[shown] += count
            return dict(counts)
        return dict(self._grouped(rest, "shown"))

    def counts_by_workflow(self) -> dict[tuple[str, str], int]:
        """How many runs there are by workflow and shown status."""
        return {key: count for key, count in self._counts.items() if count}

    def overview(self, query: RunQuery, bars: int) -> Overview:
        """How many runs of the query there are, and when they were, in at most `bars` bars."""
        begin, end = self._span(query)
        width = width_of(begin, end, bars)
        first, number = begin // width, covering(begin, end, width)
        counts = Counter[str]()
        found: list[dict[str, int]] = [{} for _ in range(number)]
        for (bar, shown), count in self._in_bars(query, width).items():
            counts[shown] += count
            if not query.status or shown in query.status:
                found[bar - first][shown] = count
        return Overview(
            counts=dict(counts),
            bars=[
                Bar(start=iso(at * width / 1000), end=iso((at + 1) * width / 1000), counts=each)
                for at, each in enumerate(found, first)
            ],
        )

    def _in_bars(self, query: RunQuery, width: int) -> dict[tuple[int, str], int]:
        """The runs of the query, whatever their status, by the number of their bar and status."""
        rest = replace(query, status=frozenset())
        if not rest.filters and query.time == "started":
            return self._bars.counted(width)
        found = self._grouped(rest, f"{_FIELDS[rest.time]} / {width}, shown")
        return {(bar, shown): count for bar, shown, count in found}

    def _grouped(self, query: RunQuery, columns: str) -> list[tuple[Any, ...]]:
        """How many runs of a query there are for each value of some columns, which come before."""
        where = self._where(query)
        found = self._db.execute(
            f"SELECT {columns}, count(*) FROM runs "  # noqa: S608
            f"WHERE {_FIELDS[query.time]} IS NOT NULL AND {where.text} GROUP BY {columns}",
            where.values,
        )
        return found.fetchall()

    def _span(self, query: RunQuery) -> tuple[int, int]:
        """The time that the chart shows, in milliseconds: all runs of the query, and now."""
        field = _FIELDS[query.time]
        first, last = self._db.execute(  # two seeks; both in one SELECT would be a scan
            f"SELECT (SELECT min({field}) FROM runs), (SELECT max({field}) FROM runs)"  # noqa: S608
        ).fetchone()
        now = round(datetime.now(UTC).timestamp() * 1000)
        begin = millis(query.since) if query.since else (first if first is not None else now)
        end = millis(query.until) if query.until else max(now, last or 0) + 1
        return begin, max(end, begin + 1)

    def workflows(self) -> list[str]:
        """The workflows of all runs."""
        return self._distinct("workflow")

    def roles(self) -> list[str]:
        """The roles that runs wait for."""
        found = self._db.execute("SELECT DISTINCT roles FROM runs WHERE roles != ''").fetchall()
        return sorted({role for (roles,) in found for role in roles.split()})

    def label_names(self) -> list[str]:
        """The names of the labels of recent runs."""
        found = self._db.execute(
            "SELECT DISTINCT labels FROM (SELECT labels FROM runs ORDER BY due, number LIMIT 1000)"
        ).fetchall()
        return sorted(
            {line.partition("=")[0] for (text,) in found for line in text.split("\n")[1:-1]}
        )

    def _distinct(self, column: str) -> list[str]:
        """The values of an indexed column: a few seeks and not a scan."""
        text = (
            f"WITH RECURSIVE each(value) AS (SELECT min({column}) FROM runs UNION ALL "  # noqa: S608
            f"SELECT (SELECT min({column}) FROM runs WHERE {column} > value) FROM each "
            "WHERE value IS NOT NULL LIMIT 500) SELECT value FROM each WHERE value IS NOT NULL"
        )
        return [value for (value,) in self._db.execute(text)]


def _values(seq: int, row: RunRow) -> tuple[Any, ...]:
    words = (row.id, row.ticket, row.workflow, row.title, row.question, row.reason)
    return (
        row.id,
        seq,
        shown_status(row),
        row.workflow,
        row.ticket,
        f" {' '.join(row.roles)} " if row.roles else "",
        millis(row.started_at),
        millis(row.updated_at),
        None if row.ended_at is None else millis(row.ended_at),
        millis(row.until) if row.until and shown_status(row) in _ASLEEP else None,
        "\n".join(filter(None, words)).casefold(),
        "".join(f"\n{name}={value}" for name, value in sorted(row.labels.items())) + "\n",
        _encode(row),
    )


def _where(query: RunQuery) -> Where:
    texts, values = ["1"], list[Any]()

    def add(text: str, *more: Any) -> None:
        texts.append(text)
        values.extend(more)

    field = _FIELDS[query.time]
    if query.status:
        add(f"shown IN ({','.join('?' * len(query.status))})", *sorted(query.status))
    for column, value in (("workflow", query.workflow), ("ticket", query.ticket)):
        if value:
            add(f"{column} = ?", value)
    if query.role:
        add("instr(roles, ?)", f" {query.role} ")
    for name, label in query.labels:
        add("instr(labels, ?)", f"\n{name}={label}\n")
    for sign, time in ((">=", query.since), ("<", query.until)):
        if time:
            add(f"{field} {sign} ?", millis(time))
    if query.text:
        add("instr(words, ?)", query.text.casefold())
    return Where(" AND ".join(texts), values)
