"""The fold of what people ask back, and which of it, and which replies, come too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from . import question_clock
from .ask_back_records import AskedBack, Replied
from .ask_backs import AskBack, Reply, awaits_reply, found, why_not
from .entry import Record
from .envelope import Envelope
from .spent import NOTHING
from .state import FORM_WITH_ASK_BACKS, OPEN, RunState


def _asked_back(state: RunState, record: AskedBack, n: int, envelope: Envelope) -> None:
    del envelope
    if is_void(state, record):
        return
    asked = AskBack(
        role=record.role,
        by=record.by,
        at=record.at,
        seq=record.seq,
        vouched=record.vouched,
        text=record.text,
        n=n,
    )
    state.asked_back[record.id] = [*state.asked_back.get(record.id, ()), asked]
    state.form = max(state.form, FORM_WITH_ASK_BACKS)
    question_clock.stop(state.questions[record.id], state.ladders.get(record.id), record.at)


def _replied(state: RunState, record: Replied, n: int, envelope: Envelope) -> None:
    if is_late(state, record):
        return
    reply = Reply(
        kind=record.kind,
        by=record.by,
        text=record.text,
        at=envelope.at,
        failed=record.failed,
        spent=record.spent or NOTHING,
        n=n,
        owner=envelope.cause,
    )
    state.asked_back[record.id] = [
        msgspec.structs.replace(each, reply=reply) if each.seq == record.seq else each
        for each in state.asked_back[record.id]
    ]
    if record.spent is not None:
        state.spent += record.spent
    if not awaits_reply(state.asked_back[record.id]):
        question = state.questions[record.id]
        question_clock.start(question, state.ladders.get(record.id), envelope.at)


def is_void(state: RunState, record: AskedBack) -> bool:
    """Whether the question is closed, or no more may be asked back about it."""
    question = state.questions.get(record.id)
    if question is None or question.status != OPEN or question.about:
        return True
    return bool(why_not(state.asked_back.get(record.id, ()), record.seq))


def is_late(state: RunState, record: Replied) -> bool:
    """Whether the question is closed, or what was asked back has a reply."""
    question = state.questions.get(record.id)
    if question is None or question.status != OPEN:
        return True
    asked = found(state.asked_back.get(record.id, ()), record.seq)
    return asked is None or asked.reply is not None


FOLDS: dict[type[Record], Callable[[RunState, Any, int, Envelope], None]] = {
    AskedBack: _asked_back,
    Replied: _replied,
}
CONFLICTS: dict[type[Record], Callable[[RunState, Any], bool]] = {
    AskedBack: is_void,
    Replied: is_late,
}
