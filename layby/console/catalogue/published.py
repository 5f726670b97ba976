"""Questions and receipts as the streams have them. What cannot be read is skipped."""

from __future__ import annotations

from typing import Final

import msgspec

from ...actors.people.answer import Receipt
from ...bus.errors import (
    InvalidTicket,
    MissingPackage,
    PermissionDenied,
    StreamMissing,
    ValueLost,
)
from ...bus.requests import Requests
from ...bus.token import encode, is_key, is_word
from ...bus.wire import Message
from ...runtime.envelope import UNREADABLE
from ...runtime.times import check_times
from ...views.open_questions import row_in, stored_row
from ...views.rows import QuestionRow

_question = msgspec.json.Decoder(QuestionRow).decode
_receipt = msgspec.json.Decoder(Receipt).decode


_UNREADABLE: Final = (PermissionDenied, StreamMissing, ValueLost, MissingPackage)
"""Errors that looking for a question's key again does not cure. `row_in` handles the others."""


async def open_row(requests: Requests, key: str, data: bytes) -> QuestionRow | None:
    """The open question under a key of its bucket; None: it is closed, or no question.

    One without a key here is open too, and says that it is encrypted.

    Raises:
        BusError: its key cannot be read just now; try again.
    """
    try:
        row = await row_in(data, requests)
    except _UNREADABLE:
        row = stored_row(data, requests.names)
    return row if row is not None and row.id == key else None


async def read(requests: Requests, message: Message) -> QuestionRow | Receipt | None:
    """The question or receipt that was published in a message."""
    parts = requests.names.own(message.headers["Nats-Subject"]).split(".")
    if len(parts) != 3:  # noqa: PLR2004  role, noun, ticket
        return None
    role, noun, token = parts
    try:
        if noun == "receipt":
            receipt = _receipt(message.data)
            check_times(receipt.at)
            is_answers = receipt.act is msgspec.UNSET  # not that of a claim, for instance
            return receipt if is_answers and encode(receipt.ticket) == token else None
        row = _question(message.data)
        check_times(row.asked_at, row.deadline)
        ours = row.role == role and encode(row.ticket) == token
        return row if noun == "question" and ours and is_key(row.id) and is_word(row.run) else None
    except (*UNREADABLE, InvalidTicket):
        return None
