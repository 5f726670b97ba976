"""The questions that people are being asked, from the bucket that holds the open ones only."""

from __future__ import annotations

import time

from .actors.open_questions import BUCKET, OpenQuestion, decode
from .actors.parked import decode as decode_record
from .actors.parked import parked_question
from .actors.ready import answer_with
from .bus.bucket import Bucket
from .bus.errors import InvalidTicket, PermissionDenied, StreamMissing
from .bus.names import Names
from .bus.reading import every
from .bus.requests import Requests
from .bus.token import encode
from .listing import contains, demand_current
from .rows import QuestionRow
from .runtime.entry import UNREADABLE
from .runtime.signature import digest
from .runtime.state import RunState
from .runtime.times import iso
from .runtime.vouching import SIGNATURE


async def open_questions(
    requests: Requests,
    role: str | None = None,
    ticket: str | None = None,
    since: float | None = None,
    text: str | None = None,
) -> list[QuestionRow]:
    """The open questions that fit, the earliest deadline first. Raises OldIndex."""
    await demand_current(requests, "parked")
    token = "*" if ticket is None else encode(ticket)
    subject = requests.names.keys(BUCKET, f"{role or '*'}.{token}.*")
    oldest = None if since is None else iso(time.time() - since)
    found: dict[str, QuestionRow] = {}
    try:
        async for message in every(requests, requests.names.bucket_stream(BUCKET), subject):
            key = message.headers["Nats-Subject"].rpartition(".")[2]
            row = _row(message.data, requests.names)
            if row is None or row.id != key:
                found.pop(key, None)  # closed while this read
            elif (oldest is None or row.asked_at >= oldest) and (
                text is None or contains(text, row.ticket, row.question, row.context)
            ):
                found[row.id] = row
    except StreamMissing:
        return []  # nothing was ever provisioned
    return sorted(found.values(), key=lambda row: row.deadline)


async def asked_on(requests: Requests, ticket: str) -> list[QuestionRow]:
    """The open questions on a ticket; where none is listed, those that its record remembers.

    Who may not read records gets none then. Raises InvalidTicket, OldIndex.
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
    rows = [OpenQuestion(ticket=ticket, question=each) for each in record.questions]
    return [question_row(row, requests.names) for row in rows]


def rows_of(state: RunState, names: Names) -> list[QuestionRow]:
    """The open questions of a run, by its log."""
    asked = [parked_question(state, question) for question in state.open_questions()]
    return [question_row(OpenQuestion(ticket=state.ticket, question=q), names) for q in asked]


def _row(data: bytes, names: Names) -> QuestionRow | None:
    """A question's row; None for a marker, and for what is no row."""
    if not data:
        return None
    try:
        return question_row(decode(data), names)
    except (*UNREADABLE, InvalidTicket):
        return None  # whoever wrote it must not stop the list


def question_row(row: OpenQuestion, names: Names) -> QuestionRow:
    """A question as people and scripts get it."""
    question = row.question
    return QuestionRow(
        id=question.id,
        ticket=row.ticket,
        role=question.role,
        question=question.question,
        context=question.context,
        agent=question.agent,
        run=question.run,
        asked_at=question.asked_at,
        deadline=question.deadline,
        digest=question.digest,
        form=question.form,
        answer_with=list(answer_with(names, row.ticket, question)),
        accept=question.accept,
        call=question.call,
        sha256=digest(question) if SIGNATURE in question.accept else "",
        status=question.status,
    )
