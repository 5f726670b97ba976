"""What people send as an answer, and what becomes of it. Pure: bytes and a record in, words out."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from ..runtime.forms import fit
from .parked import ParkedQuestion, ParkedRecord

Outcome = Literal["accepted", "invalid", "too_late", "already_answered", "unknown_ticket"]

_KEYS = ("answer", "response", "text")
_LONGEST = 32_000


class Receipt(msgspec.Struct, kw_only=True, frozen=True):
    """What became of one answer, published on `<role>.receipt.<ticket>`."""

    outcome: Outcome
    ticket: str
    question: str | None = None
    """The question it was taken for, or that it came too late for."""
    reason: str | None = None
    by: str | None = None
    """Who gave the answer; when another one won, who gave that."""
    at: str = ""
    seq: int = 0
    """The answer's sequence in the stream ANSWERS."""


class Given(NamedTuple):
    """An answer that can be understood."""

    text: str
    question_id: str = ""
    by: str = ""
    structured: bool = False
    """Whether it is a JSON object or list, which only a question with a form can take."""


class Refused(NamedTuple):
    """An answer that cannot be, and why."""

    reason: str


class Verdict(NamedTuple):
    """Which question an answer closes, or why it closes none."""

    outcome: Outcome
    question: ParkedQuestion | None = None
    reason: str = ""


def read(data: bytes, ticket: str) -> Given | Refused:
    """Understand an answer: plain text, or a JSON object with `answer`, `response` or `text`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Refused("the answer is not UTF-8 text")
    text = text.strip()
    if not text.startswith("{"):
        return _given(text)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return Refused(
            "the answer begins like JSON but is none: check its quotes and braces, "
            'or send plain text; the form is {"answer": "..."}'
        )
    return _from_object(body, ticket)


def _from_object(body: dict[str, Any], ticket: str) -> Given | Refused:
    named = body.get("ticketId", body.get("ticket", ticket))
    if str(named) != ticket:  # it may be a number, as in an event
        return Refused(f"the answer says it is for ticket {str(named)[:200]!r}, not {ticket!r}")
    key = next((key for key in _KEYS if key in body), None)
    if key is None:
        return Refused('the answer has none of the fields "answer", "response" and "text"')
    value = body[key]
    if value is None:
        return Refused(f'the field "{key}" is null: silence is never a yes')
    structured = isinstance(value, dict | list)
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    question_id = body.get("questionId", body.get("question_id", body.get("question", ""))) or ""
    by = body.get("by") or ""
    if not isinstance(question_id, str) or not isinstance(by, str):
        return Refused('the fields "questionId" and "by" must be text')
    given = _given(value.strip(), question_id, by[:200])
    return given._replace(structured=structured) if isinstance(given, Given) else given


def _given(text: str, question_id: str = "", by: str = "") -> Given | Refused:
    if not text:
        return Refused("the answer is empty: silence is never a yes")
    try:
        f"{text}{question_id}{by}".encode()
    except UnicodeEncodeError:  # JSON can write one with an escape
        return Refused("the answer holds half of a surrogate pair, which is no UTF-8 text")
    if len(text) > _LONGEST:
        return Refused(f"the answer has {len(text)} characters, more than {_LONGEST}")
    return Given(text, question_id, by)


def judge(record: ParkedRecord | None, role: str, given: Given, *, seq: int, at: float) -> Verdict:
    """Find the question that an answer closes: the one it names, else the role's oldest open one.

    An answer that names none never closes a question that was asked after the answer was sent.
    """
    asked = [q for q in record.questions if q.role == role] if record else []
    if not asked:
        return Verdict("unknown_ticket", reason="no question has been asked on this ticket")
    mine = next((q for q in asked if q.seq == seq and q.status == "answered"), None)
    if mine is not None:
        return Verdict("accepted", mine)
    return _named(asked, given) if given.question_id else _unnamed(asked, seq, at)


def _named(asked: list[ParkedQuestion], given: Given) -> Verdict:
    named = next((q for q in asked if q.id == given.question_id), None)
    if named is None:
        reason = f"no question {given.question_id!r} has been asked on this ticket"
        return Verdict("invalid", reason=reason)
    return Verdict("accepted", named) if named.status == "open" else lost(named)


def _unnamed(asked: list[ParkedQuestion], seq: int, at: float) -> Verdict:
    before = [q for q in asked if q.since <= at]
    if not before:
        return Verdict("unknown_ticket", reason="the question was asked after this answer")
    meant = next((q for q in before if not _was_closed(q, seq, at)), None)
    if meant is None:
        return lost(max(before, key=lambda q: q.closed_at))
    return Verdict("accepted", meant) if meant.status == "open" else lost(meant)


def _was_closed(question: ParkedQuestion, seq: int, at: float) -> bool:
    """Whether a question was closed by what came before the answer `seq`, stored at `at`."""
    if question.status == "open":
        return False
    if question.status == "answered":
        return question.seq < seq
    return datetime.fromisoformat(question.closed_at).timestamp() <= at


def unfit(question: ParkedQuestion, given: Given) -> str:
    """Why an answer does not have the form that its question needs; empty when it does."""
    if question.form is not None:
        return fit(given.text, question.form)
    return "the answer must be text, not a JSON object or list" if given.structured else ""


def lost(question: ParkedQuestion) -> Verdict:
    """The verdict on an answer to a question that is closed."""
    if question.status == "answered":
        who = question.by or "somebody"
        return Verdict("already_answered", question, f"{who} answered at {question.closed_at}")
    if question.status == "expired":
        return Verdict("too_late", question, f"the deadline passed at {question.closed_at}")
    return Verdict("too_late", question, f"the run ended at {question.closed_at}")
