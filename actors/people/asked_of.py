"""A question as one role sees it. One that is escalated is asked of several roles. Pure."""

from __future__ import annotations

import msgspec

from .parked_question import UNKNOWN, ParkedQuestion
from .shown_ladder import ShownTo
from .tickets import ParkedRecord


def asked_also_of(question: ParkedQuestion, role: str) -> ParkedQuestion:
    """A question as it is put to `role`, which may not be the one that was asked first."""
    if question.role == role:
        return question
    also = {other: shown for other, shown in question.also.items() if other != role}
    return msgspec.structs.replace(
        question, role=role, asked_of=question.role, also=also, answer_with=()
    )


def as_asked_of(question: ParkedQuestion, role: str) -> ParkedQuestion | None:
    """A question as it is asked of `role`; None: that role is not asked."""
    if question.role == role:
        return question
    shown = question.also.get(role)
    if shown is None:
        return None
    return msgspec.structs.replace(
        asked_also_of(question, role),
        since=shown.since,
        shown_seq=shown.seq,
        shown_after=UNKNOWN,
    )


def record_for(record: ParkedRecord | None, role: str) -> ParkedRecord | None:
    """A ticket's record with its questions as asked of `role`; others stay as they are."""
    if record is None or not any(role in question.also for question in record.questions):
        return record
    questions = tuple(as_asked_of(question, role) or question for question in record.questions)
    return msgspec.structs.replace(record, questions=questions)


def related(record: ParkedRecord | None, role: str) -> tuple[str, ...]:
    """The roles of all open questions that `role` may answer, and of those they may answer too.

    An answer of one of these roles may decide what another one's answer means.
    """
    found, size = {role}, 0
    questions = record.questions if record is not None else ()
    while len(found) > size:
        size = len(found)
        for question in questions:
            if question.status == "open" and found.intersection(question.roles):
                found.update(question.roles)
    return (role, *sorted(found - {role}))


def shown_also(record: ParkedRecord, question: str, role: str, shown: ShownTo) -> ParkedRecord:
    """`record` after a question was published for a role that it was escalated to."""
    questions = list(record.questions)
    for place, each in enumerate(questions):
        if each.id == question and role not in each.also:
            also = {**each.also, role: shown}
            questions[place] = msgspec.structs.replace(each, also=also)
            return msgspec.structs.replace(record, questions=tuple(questions))
    return record
