"""What a person posts to a question: the text of an answer, its receipt, and what is wrong."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ...actors.people.answer import Receipt
from ...actors.people.answer_lines import accepted_from
from ...bus.token import is_word
from ...client import NoReceipt
from ...runtime.vouched import NATS, NONE, SIGNATURE
from ...views.rows import QuestionRow
from ..forms.form import Form, answer_text
from ..forms.typed import ROOT, Typed
from ..login.asked import may_answer, role_here
from ..login.session import Session, sender_of
from .inbox_call import CallView

DO: Final = "_do"
"""The name of the buttons; their value says what is done."""
AGAIN: Final = "_again"
"""The name of what asks for a draft to be drawn again, and not to be sent."""
TEXT: Final = "text"
"""The name of the field for plain text, reasons and replies."""
PATIENCE: Final = 2.0
"""Seconds to wait for a receipt before the page says that the answer is stored."""
_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What was posted, and what it means.

    Attributes:
        text: The answer; empty if it is none yet.
        typed: What was typed.
        errors: What is wrong, by field.
        changed: The part of a form that a button changed, instead of sending it.
        before: Of edited arguments: what they were.
        after: Of edited arguments: what they are now.
    """

    text: str = ""
    typed: Typed = field(default_factory=Typed)
    errors: dict[str, str] = field(default_factory=dict[str, str])
    changed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An answer that was sent from here.

    Attributes:
        question: The question's id.
        seq: Its sequence in the stream of answers.
        text: What it says.
        by: Who sent it.
        receipt: What became of it; None: no worker has said so yet.
    """

    question: str
    seq: int
    text: str
    by: str
    receipt: Receipt | None = None


class SentAnswers:
    """The answers that were sent from this console, the newest of them."""

    def __init__(self) -> None:
        self._sent: OrderedDict[int, Sent] = OrderedDict()

    def add(self, sent: Sent) -> None:
        """Remember an answer."""
        self._sent[sent.seq] = sent
        while len(self._sent) > _KEPT:
            self._sent.popitem(last=False)

    def get(self, seq: int, question: str) -> Sent | None:
        """An answer to a question, by its sequence."""
        found = self._sent.get(seq)
        return found if found is not None and found.question == question else None


def why_not(question: QuestionRow, session: Session, *, read_only: bool) -> str:
    """Why this person cannot answer a question here; empty if they can.

    `role`: it is another role's; `signed`, `named`: the answerer must be vouched for; `encrypted`:
    it cannot be read here; `read-only`: nothing can be done here.
    """
    if not may_answer(question, session):
        return "read-only" if read_only else "role"
    if question.encrypted:
        return "encrypted"
    accept = accepted_from(question, role_here(question, session))
    if list(accept) == [SIGNATURE]:
        return "signed"
    if accept and not _vouched(accept, session, role_here(question, session)):
        return "named"
    return ""


def _vouched(accept: Sequence[str], session: Session, role: str) -> bool:
    responder, via = sender_of(session, role)
    return NONE in accept or (responder is not None and (via or NATS) in accept)


def answer_in(question: QuestionRow, call: CallView | None, typed: Typed) -> Draft:
    """The answer that was posted to a question."""
    if call is not None:
        if typed.text(AGAIN) and not typed.text(DO):
            return _edited(call, typed)
        return _ruling(call, typed)
    if question.form is None:
        text = typed.text(TEXT).strip()
        return Draft(text=text, typed=typed, errors={} if text else {TEXT: "Write an answer"})
    form = Form(question.form)
    changed = form.changed(typed)
    if changed is not None or typed.text(AGAIN):
        return Draft(typed=typed, changed=changed or ROOT)
    entered = form.read(typed)
    if not entered.is_valid:
        return Draft(typed=typed, errors=entered.errors)
    return Draft(text=answer_text(entered.value, question.form), typed=typed)


def _ruling(call: CallView, typed: Typed) -> Draft:
    """What was decided about a call, in the words that a worker understands."""
    do, text = typed.text(DO), typed.text(TEXT).strip()
    if do == "approve":
        return Draft(text=f"approve {call.digest}", typed=typed)
    if do == "reject":
        return Draft(text=f"reject: {text}" if text else "reject", typed=typed)
    if do == "respond":
        wrong = {} if text else {TEXT: "Write what the call's result is"}
        return Draft(text=f"respond: {text}" if text else "", typed=typed, errors=wrong)
    return _edited(call, typed)


def _edited(call: CallView, typed: Typed) -> Draft:
    form = Form(call.schema or {}, "edit-")
    changed = form.changed(typed)
    if changed is not None or typed.text(DO) != "edit":
        return Draft(typed=typed, changed=changed or ROOT)
    entered = form.read(typed)
    if not entered.is_valid:
        return Draft(typed=typed, errors=entered.errors)
    return Draft(text=json.dumps({"edit": entered.value}, ensure_ascii=False), typed=typed)


async def send(session: Session, question: QuestionRow, text: str) -> Sent:
    """Send an answer, and wait a little for its receipt.

    Raises:
        PermissionDenied: the server does not let this person answer.
    """
    role = role_here(question, session)
    responder, via = (None, None) if question.accept == [NONE] else sender_of(session, role)
    sent = Sent(question=question.id, seq=0, text=text, by=session.responder or session.name)
    try:
        receipt = await session.client.answer(
            question.ticket,
            text,
            role=role,
            question_id=question.id,
            by=session.name,
            responder=responder,
            via=via,
            timeout=PATIENCE,
        )
    except NoReceipt as error:
        return _of(sent, error.seq, None)
    return _of(sent, receipt.seq, receipt)


def _of(sent: Sent, seq: int, receipt: Receipt | None) -> Sent:
    return Sent(question=sent.question, seq=seq, text=sent.text, by=sent.by, receipt=receipt)


def named_lines(question: QuestionRow, session: Session) -> list[str]:
    """The shell commands that answer a question, with this person's name where one is needed."""
    name = session.responder or session.name
    if not is_word(name):
        return question.answer_with
    return [re.sub(r"\bYOUR_NAME\b", name, line) for line in question.answer_with]
