"""What a decision's file shows about what people asked back. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..runtime.ask_back_records import AskedBack, Replied
from ..runtime.entry import Answered, Asked, Expired, Record, Voted
from ..runtime.state import OPEN
from ..runtime.times import iso
from ..runtime.vouching import Signers
from ..views.counted_answers import CountedAnswers
from .decision_file import AskBack, Check, Checks, Decision


def check_ask_backs(
    decision: Decision, records: Iterable[Record], signers: Signers | None = None
) -> Checks:
    """Check that the log has the questions back that the file lists, and their replies."""
    if decision.asked_back is None:
        return  # an earlier release has written it
    asked = decision.question
    answers = CountedAnswers(asked.run, signers)
    answers.ticket = asked.ticket
    logged = asked_back_in(asked.id, records, answers)
    same = decision.asked_back == logged
    if logged or not same:
        replied = sum(bool(each.reply) for each in logged)
        what = f"the log has {len(logged)} questions back, and {replied} replies or failures"
        yield Check(ok=same, what=what)


def asked_back_in(
    question: str, records: Iterable[Record], answers: CountedAnswers
) -> list[AskBack]:
    """What was asked back about a question by the records of its log.

    Args:
        question: Its id.
        records: Those that are about it.
        answers: Tells which answers count: the question stays open after one that does not.
    """
    found: dict[int, AskBack] = {}
    for record in records:
        if _closes(question, record, answers):
            break  # nothing counts after it
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
            case _:
                pass
    return list(found.values())


def _closes(question: str, record: Record, answers: CountedAnswers) -> bool:
    """Whether a record closes the question."""
    if getattr(record, "id", "") != question:
        return False
    match record:
        case Asked():
            answers.add(record)
            return False
        case Answered():
            return not answers.refusal(record)
        case Voted():
            poll = None if answers.vote_refusal(record) else answers.poll(question)
            return poll is not None and poll.status != OPEN
        case _:
            return isinstance(record, Expired)


def _replied(asked: AskBack, record: Replied) -> AskBack:
    return msgspec.structs.replace(
        asked,
        reply=record.text,
        replied_by=record.by,
        replier=record.kind,
        failed=record.failed,
    )
