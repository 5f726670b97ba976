"""Lists of runs: the index read by ticket, by run, and from its newest row backwards."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec

from ..actors.people.left_in_log import in_full
from ..actors.people.migration import is_current
from ..actors.people.parked_question import waiting_row
from ..actors.people.tickets import decode as decode_record
from ..bus.bucket import Bucket
from ..bus.errors import BusError, InvalidTicket, LaybyError, StreamMissing
from ..bus.log import Log
from ..bus.reading import backwards, every, newest, stored_at
from ..bus.requests import Requests
from ..bus.token import encode
from ..bus.wire import Message
from ..runtime.entry import Started
from ..runtime.envelope import UNREADABLE, read
from ..runtime.ids import is_run_id
from ..runtime.index import BUCKET, IndexRow, key_of, opened
from ..runtime.state import RunState
from ..runtime.times import iso
from ..runtime.trace_context import trace_id
from .rows import RunRow

_PROGRESS = 1_000
_CLOCKS = 5.0
"""Seconds by which the clock of a row's writer may be ahead of the server's."""
_TOO_MANY = 413
_PAGE = 256

_decode_row = msgspec.json.Decoder(IndexRow).decode

Progress = Callable[[int], None]
"""Called now and then with how many rows were read."""


class OldIndex(LaybyError):
    """The index of runs was written by an earlier release and is not migrated yet."""


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs to list; a field that is None does not filter.

    Attributes:
        status: Their status.
        workflow: The workflow that they run.
        ticket: Their ticket.
        role: A role of people that they wait for.
        since: Only runs that changed in the last `since` seconds.
        text: Text in ticket, title, workflow, open question or error, in any case.
        labels: Labels that they all have, with these values.
    """

    status: str | None = None
    workflow: str | None = None
    ticket: str | None = None
    role: str | None = None
    since: float | None = None
    text: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def takes(self, row: IndexRow) -> bool:
        """Whether a row matches."""
        wanted = (
            (self.status, row.status),
            (self.workflow, row.workflow),
            (self.ticket, row.ticket),
        )
        if any(want is not None and want != has for want, has in wanted):
            return False
        if not self.labels.items() <= row.labels.items():
            return False
        if self.role is not None and self.role not in row.roles:
            return False
        if self.since is not None and row.updated_at < iso(time.time() - self.since):
            return False
        return self.text is None or contains(
            self.text, row.ticket, row.title, row.workflow, row.question, row.error
        )


def contains(text: str, *places: str) -> bool:
    """Whether `text` is in one of these places, in upper or lower case."""
    return any(text.casefold() in place.casefold() for place in places)


async def listed(
    requests: Requests, wanted: RunFilter, limit: int, progress: Progress | None = None
) -> list[IndexRow]:
    """The runs that fit, those that changed last first, at most `limit` of them.

    A ticket's runs are read by their keys. Any other filter reads the index from its newest row
    backwards until it has enough, or has come to rows older than `since`.

    Raises:
        OldIndex: an earlier release wrote the index.
    """
    if wanted.ticket is not None:
        rows = [row for row in await of_ticket(requests, wanted.ticket) if wanted.takes(row)]
        return _sorted(rows)[:limit]
    found: dict[str, IndexRow] = {}
    end = await _end(requests)
    async with aclosing(newest_first(requests, wanted.since, progress)) as every_row:
        async for row in every_row:
            if row.id not in found and wanted.takes(row):
                found[row.id] = row
                if len(found) >= limit:
                    return _sorted(found.values())
    # A row that was written meanwhile has replaced one that may not have been read yet.
    async for row in _written_after(requests, end):
        if wanted.takes(row):
            found[row.id] = row
        else:
            found.pop(row.id, None)
    return _sorted(found.values())[:limit]


async def _end(requests: Requests) -> int:
    """Where the index ends; 0: nothing is provisioned yet."""
    try:
        info = await requests.api(f"STREAM.INFO.{requests.names.bucket_stream(BUCKET)}")
    except StreamMissing:
        return 0
    return int(info["state"]["last_seq"])


async def _written_after(requests: Requests, end: int) -> AsyncGenerator[IndexRow]:
    """The rows behind a place in the index, in the order in which they were written."""
    if not end:
        return
    stream, rows = requests.names.bucket_stream(BUCKET), requests.names.keys(BUCKET, "*.*")
    async with aclosing(every(requests, stream, rows, first=end + 1)) as messages:
        async for message in messages:
            row = await row_of(requests, message)
            if row is not None:
                yield row


def _sorted(rows: Iterable[IndexRow]) -> list[IndexRow]:
    return sorted(rows, key=lambda row: row.updated_at, reverse=True)


async def newest_first(
    requests: Requests, since: float | None = None, progress: Progress | None = None
) -> AsyncGenerator[IndexRow]:
    """Every row of the index, the one that was written last first. Raises OldIndex."""
    await check_index_current(requests)
    oldest = None if since is None else time.time() - since - _CLOCKS
    read = 0
    try:
        stream, rows = requests.names.bucket_stream(BUCKET), requests.names.keys(BUCKET, "*.*")
        async with aclosing(backwards(requests, stream, rows)) as messages:
            async for message in messages:
                read += 1
                if progress is not None and read % _PROGRESS == 0:
                    progress(read)
                if oldest is not None and stored_at(message) < oldest:
                    return
                row = await row_of(requests, message)
                if row is not None:
                    yield row
    except StreamMissing:
        return  # nothing is provisioned yet


async def of_ticket(requests: Requests, ticket: str) -> list[IndexRow]:
    """The runs of a ticket in no particular order. Raises OldIndex."""
    await check_index_current(requests)
    rows: dict[str, IndexRow] = {}
    try:
        for row in await _newest_of(requests, requests.names.keys(BUCKET, f"{encode(ticket)}.*")):
            rows[row.id] = row
        parked = await Bucket(requests, "parked").get(encode(ticket))
    except StreamMissing:
        return []
    record = parked.read(decode_record) if parked else None
    for question in record.questions if record else ():
        if question.run not in rows and question.status == "open":  # asked a moment ago
            shown = await in_full(requests, question)
            rows[question.run] = waiting_row(ticket, shown)
    return list(rows.values())


async def _newest_of(requests: Requests, subject: str) -> list[IndexRow]:
    """The rows on `subject`, even if there are more than one read returns."""
    stream = requests.names.bucket_stream(BUCKET)
    try:
        found = await newest(requests, stream, [subject])
    except BusError as error:
        if error.code != _TOO_MANY:
            raise
        found = [message async for message in backwards(requests, stream, subject)]
    rows = [await row_of(requests, message) for message in found]
    return [row for row in rows if row is not None]


async def of_runs(requests: Requests, log: Log, runs: list[str]) -> list[IndexRow]:
    """The rows of runs by their ids; for a run that has no row yet, one made from its log."""
    rows: dict[str, IndexRow] = {}
    closed: list[str] = []
    for run, opening in (await log.openings(runs)).items():
        if opening is None:
            closed.append(run)
            continue
        envelope = read(opening)
        started = envelope.records[0] if envelope is not None and envelope.records else None
        if envelope is not None and isinstance(started, Started):
            state = RunState(id=run, workflow=started.workflow, ticket=started.ticket)
            state.started_at = state.updated_at = envelope.at
            rows[run] = row_at_start(state, started, trace_id(envelope.trace))
    names = requests.names
    stream = names.bucket_stream(BUCKET)
    keys = [names.keys(BUCKET, key_of(row.ticket, row.id)) for row in rows.values()]
    keys += [names.keys(BUCKET, f"*.{run}") for run in closed]  # a scan: no ticket is known
    for at in range(0, len(keys), _PAGE):
        for message in await newest(requests, stream, keys[at : at + _PAGE]):
            row = await row_of(requests, message)
            if row is not None:
                rows[row.id] = row
    return [rows[run] for run in runs if run in rows]


def row_at_start(state: RunState, started: Started, trace: str) -> IndexRow:
    """The row of a run that has done nothing yet."""
    return IndexRow(
        id=state.id,
        workflow=state.workflow,
        ticket=state.ticket,
        status=state.status,
        started_at=iso(state.started_at),
        updated_at=iso(state.updated_at),
        pos=1,
        parent=started.parent.run if started.parent else "",
        title=started.title,
        labels=started.labels,
        trace=trace,
    )


def run_row(row: IndexRow) -> RunRow:
    """A row as people and scripts see it."""
    return RunRow(
        id=row.id,
        workflow=row.workflow,
        ticket=row.ticket,
        status=row.status,  # type: ignore[arg-type]
        started_at=row.started_at,
        updated_at=row.updated_at,
        parent=row.parent or None,
        needs=row.needs,
        reason=row.error,
        roles=list(row.roles),
        question=row.question,
        waits=row.waits,
        until=row.until or None,
        asked_at=row.asked_at or None,
        deadline=row.deadline or None,
        ended_at=row.ended_at or None,
        title=row.title,
        labels=row.labels,
        input_tokens=row.spent.input_tokens,
        output_tokens=row.spent.output_tokens,
        cost=row.spent.cost,
        trace=row.trace,
    )


async def check_index_current(requests: Requests, before: str = BUCKET) -> None:
    """Raise OldIndex if an earlier release wrote the rows and they are not migrated yet."""
    try:
        current = await is_current(requests, before)
    except StreamMissing:
        return  # nothing is provisioned yet
    if not current:
        raise OldIndex(
            "the index of runs was written by an earlier release: run `layby migrate`, or start a "
            "worker, which migrates it before it takes work"
        )


def row_in(message: Message) -> IndexRow | None:
    """The row in a message; None for a marker, and for anything but a row of that run."""
    if not message.data:
        return None
    try:
        row = _decode_row(message.data)
        key = [encode(row.ticket), row.id]
    except (*UNREADABLE, InvalidTicket):
        return None  # a malformed one must not hide the others
    there = message.headers["Nats-Subject"].split(".")[-2:]
    return row if key == there and is_run_id(row.id) else None


async def row_of(requests: Requests, message: Message) -> IndexRow | None:
    """The row in a message with its text, if the keys for it are here."""
    row = row_in(message)
    return (
        None if row is None else await opened(row, requests.vault, message.headers["Nats-Subject"])
    )
