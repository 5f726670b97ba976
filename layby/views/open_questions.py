"""The questions that people are being asked, from the bucket that holds the open ones only."""

from __future__ import annotations

import time

from ..actors.people.answer_lines import answer_with
from ..actors.people.left_in_log import in_full
from ..actors.people.open_questions import BUCKET, OpenQuestion, decode
from ..actors.people.parked_question import parked_question
from ..actors.people.tickets import decode as decode_record
from ..bus.bucket import Bucket
from ..bus.errors import InvalidTicket, PermissionDenied, StreamMissing
from ..bus.names import Names
from ..bus.reading import every
from ..bus.requests import Requests
from ..bus.token import encode
from ..runtime.envelope import UNREADABLE
from ..runtime.question_fields import fields_of
from ..runtime.signature import digest
from ..runtime.state import RunState
from ..runtime.times import iso
from ..runtime.vouched import SIGNATURE
from .listing import check_index_current, contains
from .question_row import QuestionRow, without_expired_claim


async def open_questions(
    requests: Requests,
    role: str | None = None,
    ticket: str | None = None,
    since: float | None = None,
    text: str | None = None,
) -> list[QuestionRow]:
    """The open questions that fit, the earliest deadline first. Raises OldIndex."""
    await check_index_current(requests, "parked")
    token = "*" if ticket is None else encode(ticket)
    subject = requests.names.keys(BUCKET, f"{role or '*'}.{token}.*")
    oldest = None if since is None else iso(time.time() - since)
    found: dict[tuple[str, str], QuestionRow] = {}
    try:
        async for message in every(requests, requests.names.bucket_stream(BUCKET), subject):
            place = message.headers["Nats-Subject"].split(".")
            key = (place[-3], place[-1])
            row = await row_in(message.data, requests)
            if row is None or row.id != key[1]:
                found.pop(key, None)  # closed while this read
            elif (oldest is None or row.asked_at >= oldest) and (
                text is None or contains(text, row.ticket, row.question, row.context)
            ):
                found[key] = row
    except StreamMissing:
        return []  # nothing was ever provisioned
    rows = {row.id: row for row in sorted(found.values(), key=lambda row: not row.asked_of)}
    return sorted(rows.values(), key=lambda row: row.deadline)


async def asked_on(requests: Requests, ticket: str) -> list[QuestionRow]:
    """The open questions on a ticket; where none is listed, those that its record remembers.

    A login that may not read records gets none then. Raises InvalidTicket, OldIndex.
    """
    if listed := await open_questions(requests, ticket=ticket):
        return listed
    try:
        item = await Bucket(requests, "parked").get(encode(ticket))
    except (StreamMissing, PermissionDenied):
        return []
    record = item.read(decode_record) if item is not None else None
    if record is None:
        return []
    shown = [await in_full(requests, each) for each in record.questions]
    rows = [OpenQuestion(ticket=ticket, question=each) for each in shown]
    return [question_row(row, requests.names) for row in rows]


def rows_of(state: RunState, names: Names) -> list[QuestionRow]:
    """The open questions of a run, by its log."""
    asked = [parked_question(state, question) for question in state.open_questions()]
    return [question_row(OpenQuestion(ticket=state.ticket, question=q), names) for q in asked]


async def row_in(data: bytes, requests: Requests) -> QuestionRow | None:
    """A question's row, with its text decrypted if the keys for it are here."""
    row = stored_row(data, requests.names)
    if row is None or not row.encrypted:
        return row
    asked = decode(data)
    shown = await in_full(requests, asked.question)
    return question_row(OpenQuestion(ticket=asked.ticket, question=shown), requests.names)


def stored_row(data: bytes, names: Names) -> QuestionRow | None:
    """A question's row as it is stored, encrypted or not; None for a marker or an invalid row."""
    if not data:
        return None
    try:
        return question_row(decode(data), names)
    except (*UNREADABLE, InvalidTicket):
        return None  # a malformed one must not hide the others


def question_row(row: OpenQuestion, names: Names) -> QuestionRow:
    """A question as people and scripts get it."""
    question = row.question
    found = QuestionRow(
        **fields_of(question),
        ticket=row.ticket,
        run=question.run,
        asked_at=question.asked_at,
        deadline=question.deadline,
        answer_with=list(answer_with(names, row.ticket, question)),
        sha256=digest(question) if SIGNATURE in question.accept and not question.sealed else "",
        status=question.status,
        encrypted=bool(question.sealed),
        to=question.to,
        ladder=list(question.ladder),
        asked_of=question.asked_of,
        votes=question.votes,
        claim=question.claim,
        declined=question.declined,
        cards=list(question.cards),
        asked_back=list(question.asked_back),
        stopped_at=question.stopped_at,
        opened=list(question.opened),
    )
    return without_expired_claim(found, time.time())
