"""What people asked back, by the order of the stream, against log, clock and receipts. Pure.

It shares no line with what it judges.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from layby.runtime.ask_back_records import AskedBack, Replied

from .crowd import NO_REPLY
from .deeds import SOON, Told
from .history import ActSent
from .violation import Violation

LOST_AFTER = 8.0
"""Seconds after which something is recorded, or has its reply, if nothing fails meanwhile."""
_MOST = 10
"""What may be asked back about one question."""
_SKEW = 1.0
"""Seconds before a role is asked in which what names the question may count."""
_EXACT = 0.05
"""Seconds by which a clock may be off."""
_REPLIES = frozenset({"replied", "not_replied"})
_OVERTAKEN = "something that was asked back later"


class Heard(NamedTuple):
    """An entry of a log about something asked back."""

    n: int
    stored: float
    written: float
    """When a worker wrote it, which is what clocks go by."""
    record: AskedBack | Replied


class Request(NamedTuple):
    """What a person was asked so that they reply to another."""

    status: str
    text: str
    """The answer."""
    by: str
    ended: float
    """When its end was recorded; 0: it is open."""


class Inquiry(NamedTuple):
    """Everything that was recorded of what was asked back about one question."""

    id: str
    shown: Mapping[str, float]
    """By role: when it could be read there."""
    asked_at: float
    published: float
    """The deadline that was published first."""
    deadline: float
    """The deadline in the end."""
    stops: bool
    explain: str
    """Who replies: `code`, or a role."""
    heard: Sequence[Heard]
    said: Sequence[ActSent]
    told: Mapping[int, set[Told]]
    """Receipts, by what they are for; their reason is the reply where they have one."""
    requests: Mapping[str, Request]
    """By their text."""
    closed_n: int
    closed_at: float
    """Unix seconds; while it is open: now."""
    expired_n: int
    """Where its log says that it expired, truly or not; 0: nowhere."""
    expired_at: float


def wrongs(one: Inquiry, was_away: Callable[[float, float], bool]) -> Iterator[Violation]:
    """What is wrong with what became of what people asked back.

    `was_away`: whether in a span of time somebody who might have replied was not there.
    """
    name = f"question {one.id}"
    asked = [each.record for each in one.heard if isinstance(each.record, AskedBack)]
    replies = [each.record for each in one.heard if isinstance(each.record, Replied)]
    yield from _counted(one, asked, replies, name)
    for act in sorted(one.said):
        yield from _act(one, act, asked, name)
    for reply in replies:
        yield from _reply(one, reply, asked, name)
    for record in asked:
        yield from _told(one, record, replies, name)
    yield from _lost(one, was_away, name)
    yield from _clock(one, name)


def _counted(
    one: Inquiry, asked: Sequence[AskedBack], replies: Sequence[Replied], name: str
) -> Iterator[Violation]:
    """Whether each is recorded once, in order, and before the question was closed."""
    wrong = "question back recorded wrongly"
    seqs = [record.seq for record in asked]
    if seqs != sorted({*seqs}):
        yield Violation(wrong, f"{name}: {seqs} are not once each and in order")
    for seq, times in Counter(record.seq for record in replies).items():
        if times > 1:
            yield Violation("replied twice", f"{name}: to {seq}, {times} times")
    for each in one.heard:
        if one.closed_n and each.n > one.closed_n:
            kind = wrong if isinstance(each.record, AskedBack) else "reply after the end"
            yield Violation(kind, f"{name}: {each.record} at {each.n}, closed at {one.closed_n}")


# -- what was asked back ---------------------------------------------------------------------------


def _act(one: Inquiry, act: ActSent, asked: Sequence[AskedBack], name: str) -> Iterator[Violation]:
    """Whether somebody was told the truth about what they asked back, and it is in the log."""
    text = f"{name}: {act.seq} of {act.by or 'nobody'}"
    told = {each for each in one.told.get(act.seq, ()) if each.outcome not in _REPLIES}
    if not told:
        yield Violation("answer without receipt", text)
    if len({each.outcome for each in told}) > 1:
        yield Violation("receipts disagree", f"{text}: {told}")
    record = next((each for each in asked if each.seq == act.seq), None)
    wanted = _wanted(one, act, [each for each in asked if each.seq < act.seq])
    if record is not None:
        if wanted != "recorded" or (record.text, record.by) != (_text(act), act.by):
            what = f"{text} is {wanted}, and is recorded as {record}"
            yield Violation("question back recorded wrongly", what)
        wanted = "recorded"
    elif any(_is_overtaken(act, each, asked) for each in told):
        return
    elif wanted == "recorded":
        yield from _missing(one, act, told, text)
        wanted += " already_answered too_late" if _was_late(one, act) else ""
    for each in told:
        if each.outcome not in wanted.split():
            yield Violation("wrong receipt", f"{text}: told {each}, and is {wanted}")


def _missing(one: Inquiry, act: ActSent, told: set[Told], text: str) -> Iterator[Violation]:
    """Whether something that could have been recorded, and was not, was lost."""
    if any(each.outcome == "recorded" for each in told):
        yield Violation("question back recorded wrongly", f"{text} is not in the log")
    if one.closed_at - act.at > SOON:
        yield Violation("question back lost", text)


def _was_late(one: Inquiry, act: ActSent) -> bool:
    """Whether what closed the question may have been read first."""
    return bool(one.closed_n) and one.closed_at - act.at < SOON


def _is_overtaken(act: ActSent, told: Told, asked: Sequence[AskedBack]) -> bool:
    """Whether it named no question, and was handled after something that was asked back later."""
    is_later = any(record.seq > act.seq for record in asked)
    is_told = told.outcome == "invalid" and told.reason.startswith(_OVERTAKEN)
    return is_later and is_told and not (_body(act) or {}).get("questionId")


def _wanted(one: Inquiry, act: ActSent, before: Sequence[AskedBack]) -> str:
    """What somebody who asks back must be told; several words: any of them."""
    body = _body(act)
    if body is None or not act.by or not _text(act):
        return "invalid"
    named = body.get("questionId", "")
    shown = one.shown.get(act.role, float("inf"))
    if named not in {"", one.id} or (named and shown - _SKEW > act.at):
        return "invalid unknown_ticket"
    if not named and shown > act.at:
        return "unknown_ticket"
    if act.at > one.deadline or (one.closed_n and act.at > one.closed_at):
        return "already_answered too_late"
    return "invalid" if len(before) >= _MOST else "recorded"


def _body(act: ActSent) -> dict[str, Any] | None:
    """What it says; None: nobody can understand it."""
    try:
        text = act.data.decode().strip()
        body: dict[str, Any] = json.loads(text) if text.startswith("{") else {"text": text}
    except ValueError:
        return None
    return body


def _text(act: ActSent) -> str:
    text = (_body(act) or {}).get("text")
    return text.strip() if isinstance(text, str) else ""


# -- replies ---------------------------------------------------------------------------------------


def _reply(
    one: Inquiry, reply: Replied, asked: Sequence[AskedBack], name: str
) -> Iterator[Violation]:
    """Whether a reply is the one that code or a person has given to what it is for."""
    record = next((each for each in asked if each.seq == reply.seq), None)
    wanted: tuple[str, bool, str] | None = None
    if record is not None and one.explain == "code":
        has_none = record.text.startswith(NO_REPLY)
        text = "nobody knows" if has_none else f"because {record.text}"
        wanted = text, has_none, ""
    elif record is not None and (request := one.requests.get(_request(record))) is not None:
        has_none = request.status == "expired"
        wanted = "nobody replied" if has_none else request.text, has_none, request.by
    got = reply.text, reply.failed, reply.by
    if wanted is None or wanted[1:] != got[1:] or not _is_same(wanted[0], got[0], wanted[1]):
        yield Violation("wrong reply", f"{name}: {got} to {record}, and not {wanted}")


def _is_same(wanted: str, got: str, failed: bool) -> bool:  # noqa: FBT001
    return wanted in got if failed else wanted == got


def _request(record: AskedBack) -> str:
    """What a person is asked so that they reply."""
    return f"{record.by} asks back: {record.text}"


def _told(
    one: Inquiry, record: AskedBack, replies: Sequence[Replied], name: str
) -> Iterator[Violation]:
    """Whether whoever asked back was told the reply, and no other."""
    told = {
        (each.outcome, each.reason)
        for each in one.told.get(record.seq, ())
        if each.outcome in _REPLIES
    }
    right = {
        ("not_replied" if each.failed else "replied", each.text)
        for each in replies
        if each.seq == record.seq
    }
    if not told <= right:
        yield Violation("wrong receipt", f"{name}: {record.seq} was told {told}, not {right}")
    if right and not told:
        yield Violation("answer without receipt", f"{name}: the reply to {record.seq}")


def _lost(one: Inquiry, was_away: Callable[[float, float], bool], name: str) -> Iterator[Violation]:
    """Whether the first of all that have no reply has waited too long for one."""
    replied = {e.record.seq: e.stored for e in one.heard if isinstance(e.record, Replied)}
    since = 0.0
    for each in one.heard:
        record = each.record
        if not isinstance(record, AskedBack):
            continue
        if record.seq in replied:
            since = max(since, replied[record.seq])
            continue
        since = max(since, each.stored)
        request = one.requests.get(_request(record)) if one.explain != "code" else None
        if request is not None:
            since = max(since, request.ended or one.closed_at)
        waited = one.closed_at - since
        if waited > LOST_AFTER and not was_away(since, since + LOST_AFTER):
            yield Violation("reply lost", f"{name}: to {record}, {waited:.3f} s before the end")
        return


# -- the clock -------------------------------------------------------------------------------------


def deadline_of(one: Inquiry, until: int) -> float:
    """The deadline by all that was asked back, and replied, before a position of the log."""
    deadline, stood, since, lent = one.published, 0.0, 0.0, 0.0
    waiting: set[int] = set()
    for each in one.heard:
        record = each.record
        if not one.stops or each.n >= until:
            continue
        if isinstance(record, AskedBack):
            if not waiting:
                since, lent = record.at, max(0.0, one.published - one.asked_at - stood)
                deadline += lent
            waiting.add(record.seq)
        elif record.seq in waiting:
            waiting.discard(record.seq)
            if not waiting:
                took = min(max(0.0, each.written - since), lent)
                deadline, stood = deadline + took - lent, stood + took
    return deadline


def _clock(one: Inquiry, name: str) -> Iterator[Violation]:
    """Whether the clock stood as long as something asked back had no reply, and no longer."""
    deadline = deadline_of(one, one.closed_n or sys.maxsize)
    if abs(deadline - one.deadline) > _EXACT:
        yield Violation("clock wrong", f"{name}: until {one.deadline}, and not {deadline}")
    early = deadline_of(one, one.expired_n) - one.expired_at
    if one.expired_n and early > _EXACT:
        yield Violation("clock wrong", f"{name} expired {early:.3f} s before its deadline")
