"""What a decision's file shows about what people asked back. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..runtime.ask_back_records import AskedBack, Replied
from ..runtime.entry import Answered, Expired, Record
from ..runtime.times import iso
from .decision_file import AskBack, Check, Checks, Decision


def of_ask_backs(decision: Decision, records: Iterable[Record]) -> Checks:
    """Whether the log has what the file says that people asked back, and the replies."""
    if decision.asked_back is None:
        return  # an earlier release has written it
    logged = asked_back_in(decision.question.id, records)
    same = decision.asked_back == logged
    if logged or not same:
        replied = sum(bool(each.reply) for each in logged)
        what = f"the log has {len(logged)} questions back, and {replied} replies or failures"
        yield Check(ok=same, what=what)


def asked_back_in(question: str, records: Iterable[Record]) -> list[AskBack]:
    """What was asked back about a question by the records of its log."""
    found: dict[int, AskBack] = {}
    for record in records:
        match record:
            case AskedBack() if record.id == question:
                made = AskBack(
                    by=record.by,
                    role=record.role,
                    at=iso(record.at),
                    seq=record.seq,
                    vouched=record.vouched,
                    text=record.text,
                )
                found.setdefault(record.seq, made)
            case Replied() if record.id == question and record.seq in found:
                asked = found[record.seq]
                if not asked.reply:
                    found[record.seq] = _replied(asked, record)
            case Answered() | Expired() if record.id == question:
                break  # nothing counts after it
            case _:
                pass
    return list(found.values())


def _replied(asked: AskBack, record: Replied) -> AskBack:
    return msgspec.structs.replace(
        asked,
        reply=record.text,
        replied_by=record.by,
        replier=record.kind,
        failed=record.failed,
    )
