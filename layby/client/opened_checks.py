"""What a decision's file shows about who has looked at its question. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ..runtime.entry import Record
from ..runtime.opened_records import OpenedQuestion
from ..runtime.times import iso
from .decision_file import Check, Checks, Decision, Seen


def check_opened(decision: Decision, records: Iterable[tuple[int, Record]]) -> Checks:
    """Check that by the log the same people have looked at the question."""
    if decision.opened is None:
        return  # an earlier release has written it
    logged = seen_by(decision.question.id, records)
    for each in decision.opened:
        what = f"{each.by} looked at it, {each.at}"
        same = each in logged
        yield Check(same, what if same else f"the log does not say: {what}")
    if missing := [each.by for each in logged if each not in decision.opened]:
        yield Check(ok=False, what=f"the log says that {', '.join(missing)} looked at it too")


def seen_by(question: str, records: Iterable[tuple[int, Record]]) -> list[Seen]:
    """Who has looked at a question, by the records of its log and their positions."""
    return [
        Seen(
            by=record.by,
            at=iso(record.at),
            vouched=record.vouched,
            channel=record.channel,
            message=record.seq,
            entry=n,
        )
        for n, record in records
        if isinstance(record, OpenedQuestion) and record.id == question
    ]
