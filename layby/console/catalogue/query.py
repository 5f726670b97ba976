"""Which runs to list, and in which order."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from ...bus.errors import LaybyError
from ...views.rows import RunRow

T = TypeVar("T")
TimeField = Literal["started", "updated", "ended"]
MOST: Final = 500
"""Runs on one page, at most."""


_Whole = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
"""SQLite takes no greater number."""


class InvalidCursor(LaybyError):
    """A cursor that this catalogue has not issued."""


def shown_status(row: RunRow) -> str:
    """The status as people see it: `waiting` means that a person is waited for.

    A parked run that waits for something else is `sleeping`, or `retrying` in a back-off.
    """
    if row.status != "waiting" or row.waits == "people":
        return row.status
    return "retrying" if row.waits == "retry" else "sleeping"


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list of runs."""

    time: TimeField
    at: _Whole
    """Milliseconds of the time that the list is ordered by."""
    number: _Whole
    """The row's number, which orders runs of one moment."""
    back: bool = False
    """Whether to read towards newer runs."""

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a cursor. Raises InvalidCursor."""
        return _parsed(text, cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs to list, newest first.

    Attributes:
        status: Only runs with one of these shown statuses; empty: any.
        workflow: Only runs of this workflow.
        ticket: Only runs of this ticket.
        role: Only runs that wait for this role of people.
        text: Only runs with this text in id, ticket, workflow, title, question or error, in any
            case.
        labels: Only runs with these labels, as names and values.
        time: The time that orders the list, and that `since` and `until` limit.
        since: Only runs from this time on, ISO 8601.
        until: Only runs before this time, ISO 8601.
        cursor: Where the page begins; None: at the newest run.
        limit: At most this many.
    """

    status: frozenset[str] = frozenset()
    workflow: str | None = None
    ticket: str | None = None
    role: str | None = None
    text: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    time: TimeField = "started"
    since: str | None = None
    until: str | None = None
    cursor: str | None = None
    limit: int = 50

    @property
    def filters(self) -> bool:
        """Whether it lets only some runs through."""
        some = (self.workflow, self.ticket, self.role, self.text, self.since, self.until)
        return bool(self.status or self.labels or any(some)) or self.time == "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionQuery:
    """Which questions to list: closed ones, the one that was asked last first.

    Attributes:
        with_open: Whether the open ones come before them, nearest deadline first.
        by: Only questions that this person has answered.
        role: Only questions to this role.
        roles: Only questions to one of these roles; None: to any.
        ticket: Only questions on this ticket.
        text: Only questions with this text in id, ticket, role, question, context or agent, in any
            case.
        cursor: Where the page begins; None: at the first one.
        limit: At most this many.
    """

    with_open: bool = False
    by: str | None = None
    role: str | None = None
    roles: frozenset[str] | None = None
    ticket: str | None = None
    text: str | None = None
    cursor: str | None = None
    limit: int = 50


class OpenPlace(msgspec.Struct, frozen=True, array_like=True):
    """A place among the open questions of a list that goes on with closed ones."""

    deadline: str
    id: str

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()


Place = OpenPlace | int
"""Where a page of questions begins: behind an open one, or before the sequence of a closed one."""


def place_of(query: QuestionQuery) -> Place:
    """Where the page of a query begins. Raises InvalidCursor."""
    cursor = query.cursor
    if cursor is None:
        return OpenPlace("", "") if query.with_open else LAST
    if cursor.isascii() and cursor.isdecimal() and len(cursor) <= len(str(LAST)):
        return min(int(cursor), LAST)
    if not query.with_open:
        raise InvalidCursor(_UNKNOWN)
    return _parsed(cursor, OpenPlace)


LAST: Final = (1 << 62) - 1
"""Before the closed question that was asked last."""
_UNKNOWN: Final = "the cursor is not one of this list: begin without one"


def _parsed(text: str, wanted: type[T]) -> T:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(data, type=wanted)
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
        raise InvalidCursor(_UNKNOWN) from None
