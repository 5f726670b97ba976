"""What somebody who asks back adds to the log. Pure."""

from __future__ import annotations

from typing import Final

from ...runtime.ask_back_records import AskedBack
from ...runtime.ask_backs import found, why_not
from ...runtime.entry import Record
from ...runtime.state import Question, RunState
from .sent_acts import SentAct

ASKED: Final = "the reply comes as a receipt of its own"
_A_REPLY = "this is asked so that you reply to somebody who asked back: answer it, or decline it"


def ask_back(state: RunState, question: Question, sent: SentAct) -> list[Record] | str:
    """The records that it adds, none if the log has it; as text, why it cannot be asked."""
    asked = state.asked_back.get(question.id, ())
    if found(asked, sent.seq) is not None:
        return []
    why = _A_REPLY if question.about else why_not(asked, sent.seq)
    if why:
        return why
    given = sent.given
    record = AskedBack(
        id=question.id,
        role=sent.role,
        by=given.person,
        at=sent.at,
        seq=sent.seq,
        vouched=given.vouched,
        text=given.text,
    )
    return [record]
