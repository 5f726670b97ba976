"""What people send as an answer, and what becomes of it. Pure: bytes and a record in, words out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from ..runtime.forms import fit
from ..runtime.times import iso
from ..runtime.vouching import NATS, NONE
from .parked import ParkedQuestion, ParkedRecord

Outcome = Literal[
    "accepted", "invalid", "ambiguous", "too_late", "already_answered", "unknown_ticket"
]

_KEYS = ("answer", "response", "text")
_LONGEST = 32_000
SKEW = 1.0
"""Seconds by which the clocks of two streams' leaders may differ."""
READING = 60.0
"""Seconds after the end of one question in which an unnamed answer may still be meant for it, and
so approves no other: a double click, or somebody who has not seen that there is another."""
_APPROVED = re.compile(r"approved?\s+([0-9a-f]{12})", re.IGNORECASE)
_APPROVED_JSON = re.compile(r'\{"approve": "([0-9a-f]{12})"\}')


class Candidate(msgspec.Struct, kw_only=True, frozen=True):
    """A question that an ambiguous answer may be for."""

    id: str
    question: str
    """Its first line."""
    run: str
    deadline: str
    answer_with: tuple[str, ...] = ()
    """Shell commands that answer exactly this question."""


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
    candidates: tuple[Candidate, ...] = ()
    """Of an ambiguous answer: the questions that it may be for."""


class Given(NamedTuple):
    """An answer that can be understood."""

    text: str
    question_id: str = ""
    by: str = ""
    structured: bool = False
    """Whether it is a JSON object or list, which only a question with a form can take."""
    responder: str = ""
    """Who answers, as the subject says it; `by` is then the same."""
    signature: str = ""
    """The header `Layby-Signature`, whatever it holds."""

    @property
    def vouched(self) -> str:
        """Who vouches for `by`, as far as the answer's subject tells."""
        return NATS if self.responder else NONE


class Refused(NamedTuple):
    """An answer that cannot be, and why."""

    reason: str


class Verdict(NamedTuple):
    """Which question an answer closes, or why it closes none."""

    outcome: Outcome
    question: ParkedQuestion | None = None
    reason: str = ""
    candidates: tuple[ParkedQuestion, ...] = ()


class Sent(NamedTuple):
    """An answer in its place in the stream."""

    seq: int
    at: float
    """When it was stored, Unix seconds by the server's clock."""
    given: Given


def understood(
    data: bytes, ticket: str, responder: str = "", signature: str = ""
) -> Given | Refused:
    """Like `read`; the `responder` in the subject counts more than what the answer says."""
    given = read(data, ticket)
    if not isinstance(given, Given) or not (responder or signature):
        return given
    return given._replace(by=responder or given.by, responder=responder, signature=signature)


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
    """Find the question that an answer closes, as of the answer's place in the stream.

    That is the one it names, by id or by the digest of an approval, else the only one of its role
    that was open then. An answer that names none never closes a question that was asked after it
    was sent.
    """
    asked = [q for q in record.questions if q.role == role] if record else []
    if not asked:
        return Verdict("unknown_ticket", reason="no question has been asked on this ticket")
    mine = next((q for q in asked if q.seq == seq and q.status == "answered"), None)
    if mine is not None:
        return Verdict("accepted", mine)
    named = _named(asked, given)
    if named is not None:
        return _of_named(named, seq, at)
    if given.question_id:
        reason = f"no question {given.question_id!r} has been asked on this ticket"
        return Verdict("invalid", reason=reason)
    return _unnamed(asked, seq, at)


def is_named(record: ParkedRecord | None, role: str, given: Given) -> bool:
    """Whether an answer says which question it is for."""
    asked = [q for q in record.questions if q.role == role] if record else []
    return bool(given.question_id) or _named(asked, given) is not None


WhyNot: TypeAlias = Callable[[ParkedQuestion, Sent], str]
"""Why a question does not take an answer; empty when it does."""


def _any_form(question: ParkedQuestion, sent: Sent) -> str:
    return unfit(question, sent.given)


class Contest:
    """Plays a ticket's answers in the order of the stream: the first valid one wins a question."""

    def __init__(self, record: ParkedRecord, role: str, why_not: WhyNot | None = None) -> None:
        self._why_not = why_not or _any_form
        self.record = record
        """The record as the answers so far leave it."""
        self.winners: dict[str, Sent] = {}
        """Of questions that `record` had as open: the answer that closes it."""
        self._role = role

    def add(self, sent: Sent) -> None:
        """Take the next answer."""
        verdict = judge(self.record, self._role, sent.given, seq=sent.seq, at=sent.at)
        question = verdict.question
        if verdict.outcome != "accepted" or question is None or question.status != "open":
            return
        if not self._why_not(question, sent):
            self.winners[question.id] = sent
            won = msgspec.structs.replace(
                question,
                status="answered",
                seq=sent.seq,
                by=sent.given.by,
                closed_at=iso(sent.at),
            )
            questions = tuple(won if q is question else q for q in self.record.questions)
            self.record = msgspec.structs.replace(self.record, questions=questions)


def _named(asked: list[ParkedQuestion], given: Given) -> ParkedQuestion | None:
    if given.question_id:
        return next((q for q in asked if q.id == given.question_id), None)
    digest = _digest_in(given)
    return next((q for q in asked if digest and q.digest == digest), None)


def _digest_in(given: Given) -> str:
    return digest_in(given.text, structured=given.structured)


def digest_in(text: str, *, structured: bool) -> str:
    """The digest that an approval names, in words or, if `structured`, as JSON; else empty."""
    found = (_APPROVED_JSON if structured else _APPROVED).fullmatch(text)
    return found[1].lower() if found else ""


def _of_named(named: ParkedQuestion, seq: int, at: float) -> Verdict:
    if at < named.since - SKEW:
        return Verdict("invalid", named, "the question was asked after this answer")
    if named.status == "open" and _was_closed(named, seq, at):
        return lost(named)
    return Verdict("accepted", named) if named.status == "open" else lost(named)


def _unnamed(asked: list[ParkedQuestion], seq: int, at: float) -> Verdict:
    before = [q for q in asked if q.since <= at]
    if not before:
        return Verdict("unknown_ticket", reason="the question was asked after this answer")
    opened = [q for q in before if not _was_closed(q, seq, at)]
    if not opened:
        return lost(max(before, key=_end_of))
    if len(opened) > 1:
        reason = f"{len(opened)} questions are open on this ticket: say which one you mean"
        return Verdict("ambiguous", reason=reason, candidates=tuple(opened))
    meant = opened[0]
    if meant.digest and any(_end_of(q) > at - READING for q in before if q is not meant):
        reason = (
            "another question on this ticket has just ended, and this answer may be meant for "
            "that one: say which call you approve"
        )
        return Verdict("ambiguous", reason=reason, candidates=tuple(opened))
    return Verdict("accepted", meant) if meant.status == "open" else lost(meant)


def _was_closed(question: ParkedQuestion, seq: int, at: float) -> bool:
    """Whether a question was closed before the answer `seq`, stored at `at`."""
    if question.status == "answered":
        return question.seq < seq
    return at > _end_of(question)


def _end_of(question: ParkedQuestion) -> float:
    """When a question was closed or, while it is open, when it will have been."""
    if question.status == "open":
        return _unix(question.deadline)
    if question.status == "expired":  # by the clock of a worker, or early where tests do not wait
        return min(_unix(question.deadline), _unix(question.closed_at))
    return _unix(question.closed_at)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def unfit(question: ParkedQuestion, given: Given) -> str:
    """Why an answer does not have the form that its question needs; empty when it does."""
    if question.form is not None:
        return fit(given.text, question.form)
    return "the answer must be text, not a JSON object or list" if given.structured else ""


def lost(question: ParkedQuestion) -> Verdict:
    """The verdict on an answer to a question that is closed, or whose deadline has passed."""
    if question.status == "answered":
        who = question.by or "somebody"
        return Verdict("already_answered", question, f"{who} answered at {question.closed_at}")
    if question.status in {"open", "expired"}:
        return Verdict("too_late", question, f"the deadline passed at {question.deadline}")
    return Verdict("too_late", question, f"the run ended at {question.closed_at}")
