"""What people send as an answer, and what becomes of it. Pure: no clock, no network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from ...bus.token import is_word
from ...runtime.forms import fit
from ...runtime.state import ANSWERED, NO_QUORUM
from ...runtime.vouched import NATS, NONE, VIA
from .answer_subject import NOBODY, Sender
from .parked_question import ParkedQuestion
from .tickets import ParkedRecord

Outcome = Literal[
    "accepted",
    "counted",
    "already_voted",
    "invalid",
    "ambiguous",
    "too_late",
    "already_answered",
    "unknown_ticket",
    "recorded",
    "already_claimed",
    "replied",
    "not_replied",
]
TAKEN = frozenset({"accepted", "counted"})
"""The outcomes of answers and votes that count."""

_KEYS = ("answer", "response", "text")
_LONGEST = 32_000
SKEW = 1.0
"""Seconds by which the clocks of two streams' leaders may differ."""
READING = 60.0
"""Seconds after one question ends in which an unnamed answer may still be meant for it, and so
approves no other: a double click, or a person who has not seen that there is another question."""
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


class VoteCount(msgspec.Struct, kw_only=True, frozen=True):
    """How many votes a choice had with the vote that a receipt is for."""

    choice: str
    given: int
    needed: int


class Receipt(msgspec.Struct, kw_only=True, frozen=True):
    """What became of one answer, published on `<role>.receipt.<ticket>`."""

    outcome: Outcome
    ticket: str
    question: str | None = None
    """The question it was accepted for, or came too late for."""
    reason: str | None = None
    by: str | None = None
    """Who gave the answer; if another answer won, who gave that one."""
    at: str = ""
    seq: int = 0
    """The answer's sequence in the stream ANSWERS."""
    candidates: tuple[Candidate, ...] = ()
    """If the answer is ambiguous: the questions that it may be for."""
    votes: VoteCount | msgspec.UnsetType = msgspec.UNSET
    """If several people decide the question: how many of the votes it needs this choice has."""
    act: str | msgspec.UnsetType = msgspec.UNSET
    """If it is not for an answer: `claim`, `pass`, `decline` or `ask-back`."""
    until: str | msgspec.UnsetType = msgspec.UNSET
    """Until when a claim holds: this one, or the earlier one that it conflicts with."""
    reply: str | msgspec.UnsetType = msgspec.UNSET
    """If it was asked back: the reply, unless the question is confidential."""


class Given(NamedTuple):
    """An answer that can be understood."""

    text: str
    question_id: str = ""
    by: str = ""
    structured: bool = False
    """Whether it is a JSON object or list, which only a question with a form accepts."""
    responder: str = ""
    """Who answers, by the subject; `by` is then the same."""
    signature: str = ""
    """The header `Layby-Signature`, unchecked."""
    via: str = ""
    """The bridge that passed it on for the responder; empty: their own login sent it."""

    @property
    def vouched(self) -> str:
        """Who vouches for `by`, judged by the answer's subject alone."""
        return self.via or (NATS if self.responder else NONE)


class Refused(NamedTuple):
    """An answer that cannot be understood, and why."""

    reason: str


class Verdict(NamedTuple):
    """Which question an answer closes, or why it closes none."""

    outcome: Outcome
    question: ParkedQuestion | None = None
    reason: str = ""
    candidates: tuple[ParkedQuestion, ...] = ()
    votes: VoteCount | None = None


class Sent(NamedTuple):
    """An answer in its place in the stream."""

    seq: int
    at: float
    """When it was stored, Unix seconds by the server's clock."""
    given: Given
    role: str = ""
    """The role on whose subject it was sent; empty: the one that it is judged for."""


def understood(
    data: bytes, ticket: str, sender: Sender = NOBODY, signature: str = ""
) -> Given | Refused:
    """Like `read`; the sender's name in the subject takes precedence over the answer's `by`."""
    given = read(data, ticket)
    if not isinstance(given, Given) or not (sender.responder or signature):
        return given
    responder, via = sender
    if "." in responder:
        return Refused(
            f"its subject has too many words after the ticket: {responder[:200]!r} is neither a "
            f"name nor a name and one of {', '.join(f'via-{each}' for each in VIA)}"
        )
    if via and not is_word(responder):
        return Refused(f"its subject names {responder[:200]!r}: use letters, digits, _ and -")
    by = responder or given.by
    return given._replace(by=by, responder=responder, signature=signature, via=via)


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
            "the answer begins like JSON but is not valid JSON: check its quotes and braces, "
            'or send plain text; the form is {"answer": "..."}'
        )
    return _from_object(body, ticket)


def _from_object(body: dict[str, Any], ticket: str) -> Given | Refused:
    named = body.get("ticketId", body.get("ticket", ticket))
    if str(named) != ticket:  # an event may have it as a number
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
    given = _given(value.strip(), question_id[:200], by[:200])
    return given._replace(structured=structured) if isinstance(given, Given) else given


def _given(text: str, question_id: str = "", by: str = "") -> Given | Refused:
    if not text:
        return Refused("the answer is empty: silence is never a yes")
    try:
        f"{text}{question_id}{by}".encode()
    except UnicodeEncodeError:  # JSON can write one with an escape
        return Refused("the answer contains half of a surrogate pair, which UTF-8 cannot encode")
    if len(text) > _LONGEST:
        return Refused(f"the answer has {len(text)} characters, more than {_LONGEST}")
    return Given(text, question_id, by)


def judge(record: ParkedRecord | None, role: str, given: Given, *, seq: int, at: float) -> Verdict:
    """Find the question that an answer closes, as of the answer's place in the stream.

    That is the question it names, by id or by the digest of an approval; otherwise the only
    question of its role that was open then. An answer that names no question never closes one that
    was asked after the answer was sent.
    """
    asked = [q for q in record.questions if q.role == role] if record else []
    if not asked:
        return Verdict("unknown_ticket", reason="no question has been asked on this ticket")
    mine = next((q for q in asked if q.seq == seq and q.status == ANSWERED), None)
    if mine is not None:
        return Verdict("accepted", mine)
    mine = next((q for q in asked if any(vote.seq == seq for vote in q.votes)), None)
    if mine is not None:
        return Verdict("counted", mine)
    named = _named(asked, given)
    if named is not None:
        return _of_named(named, seq, at)
    if given.question_id:
        reason = f"no question {given.question_id!r} has been asked on this ticket"
        return Verdict("invalid", reason=reason)
    return _unnamed(asked, seq, at)


def is_named(record: ParkedRecord | None, role: str, given: Given) -> bool:
    """Whether an answer names the question it is for."""
    asked = [q for q in record.questions if q.role == role] if record else []
    return bool(given.question_id) or _named(asked, given) is not None


WhyNot: TypeAlias = Callable[[ParkedQuestion, Sent], str]
"""Why a question does not accept an answer; empty when it does."""


def _named(asked: list[ParkedQuestion], given: Given) -> ParkedQuestion | None:
    if given.question_id:
        return next((q for q in asked if q.id == given.question_id), None)
    digest = _digest_in(given)
    return next((q for q in asked if digest and q.digest == digest), None)


def _digest_in(given: Given) -> str:
    return digest_in(given.text, structured=given.structured)


def digest_in(text: str, *, structured: bool) -> str:
    """The digest that an approval names, as text or, if `structured`, as JSON; empty if none."""
    found = (_APPROVED_JSON if structured else _APPROVED).fullmatch(text)
    return found[1].lower() if found else ""


def _of_named(named: ParkedQuestion, seq: int, at: float) -> Verdict:
    if at < named.since - SKEW:
        return Verdict("invalid", named, "the question was asked after this answer")
    takes = named.status == "open" and not _was_closed(named, seq, at)
    return Verdict("accepted", named) if takes else lost(named)


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
    only = opened[0]
    if only.digest and any(_end_of(q) > at - READING for q in before if q is not only):
        reason = (
            "another question on this ticket has just ended, and this answer may be meant for "
            "that one: say which call you approve"
        )
        return Verdict("ambiguous", reason=reason, candidates=tuple(opened))
    return Verdict("accepted", only) if only.status == "open" else lost(only)


def was_open_when_stored(verdict: Verdict, sent: Sent) -> bool:
    """Whether an answer was stored while its question was open, and lost all the same.

    That happens to an answer that the question does not accept, and to one whose run ended before
    a worker read it.
    """
    question = verdict.question
    if question is None or verdict.outcome not in {"already_answered", "too_late"}:
        return False
    return not _was_closed(question, sent.seq, sent.at)


def _was_closed(question: ParkedQuestion, seq: int, at: float) -> bool:
    """Whether a question was closed before the answer `seq`, stored at `at`."""
    if question.status in {ANSWERED, NO_QUORUM}:
        return question.seq < seq
    return at > _end_of(question)


def _end_of(question: ParkedQuestion) -> float:
    """When a question was closed or, while it is open, its deadline."""
    if question.status == "open":
        return _unix(question.deadline)
    if question.status == "expired":  # by a worker's clock, or early in tests that do not wait
        return min(_unix(question.deadline), _unix(question.closed_at))
    return _unix(question.closed_at)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def unfit(question: ParkedQuestion, given: Given) -> str:
    """Why an answer does not have the form that its question asks for; empty when it does."""
    if question.form is not None:
        return fit(given.text, question.form)
    return "the answer must be text, not a JSON object or list" if given.structured else ""


def lost(question: ParkedQuestion) -> Verdict:
    """The verdict on an answer to a question that is closed, or whose deadline has passed."""
    if question.status == NO_QUORUM:
        why = f"people could no longer agree, so it was closed at {question.closed_at}"
        return Verdict("already_answered", question, why)
    if question.status == ANSWERED:
        who = question.by or "somebody"
        return Verdict("already_answered", question, f"{who} answered at {question.closed_at}")
    if question.status in {"open", "expired"}:
        return Verdict("too_late", question, f"the deadline passed at {question.deadline}")
    return Verdict("too_late", question, f"the run ended at {question.closed_at}")
