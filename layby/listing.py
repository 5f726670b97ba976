"""All runs there are to list: the index, and the runs that only their questions show yet."""

from __future__ import annotations

import msgspec

from .actors.parked import ParkedQuestion, ParkedRecord
from .actors.parked import decode as decode_record
from .bus.bucket import Bucket
from .bus.errors import StreamMissing
from .bus.log import Log
from .bus.requests import Requests
from .runtime.index import IndexRow
from .runtime.state import RUNNING, UNENDED, WAITING

_decode_row = msgspec.json.Decoder(IndexRow).decode


async def all_rows(requests: Requests) -> dict[str, IndexRow]:
    """Every run by its id, as it was seen last while this read."""
    rows: dict[str, IndexRow] = {}
    try:
        async for item in Bucket(requests, "runs").items():
            row = _decode_row(item.value)
            rows[row.id] = row
        listed = set(rows)
        async for item in Bucket(requests, "parked").items():
            _add_asked(rows, decode_record(item.value))
        for run in await _purged(requests, [rows[run] for run in rows.keys() - listed]):
            del rows[run]
    except StreamMissing:
        return rows  # nothing was ever provisioned
    return rows


async def _purged(requests: Requests, rows: list[IndexRow]) -> set[str]:
    """Runs that only a closed question shows, which is remembered for longer than their logs."""
    closed = {row.id for row in rows if row.status == RUNNING}
    return closed - await Log(requests).existing(closed) if closed else closed


def _add_asked(rows: dict[str, IndexRow], record: ParkedRecord) -> None:
    for question in record.questions:
        known = rows.get(question.run)
        newer = known is None or (known.status in UNENDED and known.pos <= question.pos)
        if newer:
            rows[question.run] = _asked(record.ticket, question)


def _asked(ticket: str, question: ParkedQuestion) -> IndexRow:
    """A run as its question shows it: waiting, or under way again since it was closed."""
    is_open = question.status == "open"
    return IndexRow(
        id=question.run,
        workflow=question.workflow,
        ticket=ticket,
        status=WAITING if is_open else RUNNING,
        started_at=question.started_at,
        updated_at=question.asked_at if is_open else question.closed_at,
        pos=question.pos,
    )
