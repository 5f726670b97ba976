"""Rows made from logs and from the dead-letter stream."""

from __future__ import annotations

import msgspec

from ..bus.dead import DeadLetter
from ..runtime.entry import Failure
from ..runtime.times import iso
from .rows import DeadRow, FailureRow, PlaceRow


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
    """The failure that ended a run, as people see it."""
    if failure is None:
        return None
    place = PlaceRow(**msgspec.structs.asdict(failure.place)) if failure.place else None
    return FailureRow(
        type=failure.type, message=failure.message, place=place, causes=failure.causes
    )
