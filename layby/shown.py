"""Rows of what the logs and the dead-letter stream hold."""

from __future__ import annotations

import msgspec

from .bus.dead import DeadLetter
from .rows import DeadRow, FailureRow, PlaceRow
from .runtime.entry import Failure
from .runtime.times import iso


def dead_row(number: int, letter: DeadLetter) -> DeadRow:
    """A dead letter as people see it."""
    return DeadRow(
        id=number,
        at=iso(letter.at),
        subject=letter.subject,
        reason=letter.reason,
        mailbox=letter.mailbox,
        size=letter.size,
        body=letter.body,
    )


def failure_row(failure: Failure | None) -> FailureRow | None:
    """What ended a run, as people see it."""
    if failure is None:
        return None
    place = PlaceRow(**msgspec.structs.asdict(failure.place)) if failure.place else None
    return FailureRow(
        type=failure.type, message=failure.message, place=place, causes=failure.causes
    )
