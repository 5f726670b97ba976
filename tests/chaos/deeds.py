"""What people said besides answering, by the order of the stream, against log and receipts. Pure.

It shares no line with what it judges.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from layby.runtime.act_records import ClaimedQuestion, Declined, Passed, Said
from layby.runtime.ladder_records import ASKED, ESCALATION, REMINDER, PlannedRung, Reached

from .crowd import BOSS, PEOPLE, SQUAD
from .history import ActSent, History
from .violation import Violation

SOON = 20.0
"""Seconds within which what was said is recorded, or published, whatever fails meanwhile."""
_UNDER_WAY = 1.0
"""Seconds for which what was decided before something else may be on its way."""
_READ = 2.5
_SKEW = 1.0
"""Seconds before a role is asked in which what names the question may count."""
_LATE = {"already_answered", "too_late"}
_OVERTAKEN = "something that was said later"


class Entry(NamedTuple):
    """An entry of a log about what people said, or a rung."""

    n: int
    at: float
    record: Said | Reached
    others: tuple[object, ...]
    """All records of the same entry."""


class Message(NamedTuple):
    """A rung as it was published."""

    role: str
    place: int
    passed_by: str
    told: str


class Told(NamedTuple):
    """A receipt."""

    outcome: str
    reason: str
    by: str


def receipts_of_acts(history: History) -> dict[int, set[Told]]:
    """The receipts of what people said besides answering, by its place in the stream."""
    told: defaultdict[int, set[Told]] = defaultdict(set)
    for _, receipt in history.receipts:
        if receipt.seq in history.acts:
            said = receipt.reply if isinstance(receipt.reply, str) else receipt.reason or ""
            told[receipt.seq].add(Told(receipt.outcome, said, receipt.by or ""))
    return told


class Question(NamedTuple):
    """Everything that was recorded of one question, and what was said to it."""

    id: str
    shown: Mapping[str, float]
    """By role: when it could be read there."""
    planned: Sequence[PlannedRung]
    entries: Sequence[Entry]
    messages: Sequence[Message]
    said: Sequence[ActSent]
    told: Mapping[int, set[Told]]
    """Receipts, by what they are for."""
    deadline: float
    closed_n: int
    closed_at: float
    """Unix seconds; while it is open: now."""
    listed: tuple[str, list[str]] | None
    """Who claimed and who declined it, by the record of its ticket."""


class Deed(NamedTuple):
    """Something that a log holds."""

    seq: int
    verb: str
    by: str
    at: float
    until: float
    to: str


def wrongs(question: Question, was_delayed: Callable[[float, float], bool]) -> Iterator[Violation]:
    """What is wrong with what became of what people said."""
    name = f"question {question.id}"
    recorded = [_deed(each.record) for each in question.entries if not _is_rung(each)]
    for seq, times in Counter(deed.seq for deed in recorded).items():
        if times > 1:
            yield Violation("act recorded wrongly", f"{name}: {seq}, {times} times")
    seqs = [deed.seq for deed in recorded]
    if seqs != sorted(seqs):
        yield Violation("act recorded wrongly", f"{name}: {seqs} are out of order")
    for act in sorted(question.said):
        yield from _act(question, act, recorded, name)
    yield from _listed(question, recorded, name)
    for entry in question.entries:
        yield from _rung(question, entry, was_delayed, name)
    yield from _published(question, name)


def _is_rung(entry: Entry) -> bool:
    return isinstance(entry.record, Reached)


def _deed(record: Said | Reached) -> Deed:
    match record:
        case ClaimedQuestion():
            return Deed(record.seq, "claim", record.by, record.at, record.until, "")
        case Passed():
            return Deed(record.seq, "pass", record.by, record.at, 0.0, record.to)
        case Declined():
            return Deed(record.seq, "decline", record.by, record.at, 0.0, "")
        case Reached():
            raise AssertionError(record)


def holder(deeds: Sequence[Deed], at: float) -> Deed | None:
    """Who has claimed it at a time."""
    held: Deed | None = None
    for deed in deeds:
        if deed.verb == "claim":
            held = deed if deed.until > deed.at else None
        elif held is not None and held.by == deed.by:
            held = None
    return held if held is not None and at < held.until else None


def out(deeds: Sequence[Deed]) -> list[str]:
    """Who will not answer it."""
    found: list[str] = []
    for deed in deeds:
        back = deed.by if deed.verb == "claim" else deed.to.removeprefix("person:")
        if deed.verb != "claim" and deed.by not in found:
            found.append(deed.by)
        if back in found and (deed.verb == "claim" or deed.to.startswith("person:")):
            found.remove(back)
    return found


# -- receipts ------------------------------------------------------------------------------------


def _act(
    question: Question, act: ActSent, recorded: Sequence[Deed], name: str
) -> Iterator[Violation]:
    """Whether somebody was told the truth, once or several times, and it is in the log."""
    text = f"{name}: {act.verb} {act.seq} of {act.by or 'nobody'}"
    told = question.told.get(act.seq, set())
    if not told:
        yield Violation("answer without receipt", text)
    if len({(each.outcome, each.by) for each in told}) > 1:
        yield Violation("receipts disagree", f"{text}: {told}")
    before = [deed for deed in recorded if deed.seq < act.seq]
    is_in = any(deed.seq == act.seq for deed in recorded)
    wanted = _wanted(question, act, before)
    is_news = wanted == "recorded" and not _is_repeated(act, before)
    if is_in and wanted != "recorded":
        yield Violation("act recorded wrongly", f"{text} is recorded, and is {wanted}")
    right = {wanted} if is_in else {wanted, *_lost(question, act)}
    for each in told:
        if is_news and not is_in and _was_overtaken(act, each, recorded):
            return
        yield from _said(act, each, right, before, text)
        if each.outcome == "recorded" and is_news and not is_in:
            yield Violation("act recorded wrongly", f"{text} is not in the log, told {each}")
    waited = question.closed_at - act.at
    if is_news and not is_in and waited > SOON:
        yield Violation("act lost", f"{text}, {waited:.3f} s before the end")


def _said(
    act: ActSent, told: Told, right: set[str], before: Sequence[Deed], text: str
) -> Iterator[Violation]:
    """Whether one receipt is true."""
    if told.outcome not in " ".join(right).split():
        yield Violation("wrong receipt", f"{text}: told {told}, and is {right}")
    elif told.outcome == "already_claimed":
        held = _met(act, before)
        if held is None or held.by != told.by:
            yield Violation("wrong receipt", f"{text}: told {told}, and {held} holds it")


def _was_overtaken(act: ActSent, told: Told, recorded: Sequence[Deed]) -> bool:
    """Whether it named no question, and was handled after something that was said later."""
    is_later = any(deed.seq > act.seq for deed in recorded)
    is_told = told.outcome == "invalid" and told.reason.startswith(_OVERTAKEN)
    return is_later and is_told and not _body(act).get("questionId")


def _lost(question: Question, act: ActSent) -> set[str]:
    """What may be told besides: what closed the question may have come first.

    Answers and acts are read side by side.
    """
    return _LATE if question.closed_n and question.closed_at - act.at < SOON else set()


def _is_repeated(act: ActSent, before: Sequence[Deed]) -> bool:
    return act.verb == "decline" and act.by in out(before)


def _body(act: ActSent) -> dict[str, Any]:
    """What an act says; raises ValueError for what nobody can understand."""
    text = act.data.decode().strip()
    if text and not text.startswith("{"):
        if act.verb != "pass":
            raise ValueError(text)
        return {"to": text}
    body: dict[str, Any] = json.loads(text or "{}")
    return body


def _wanted(question: Question, act: ActSent, before: Sequence[Deed]) -> str:
    """What an act must be told; several words: any of them."""
    try:
        body = _body(act)
    except ValueError:
        return "invalid"
    if not act.by or not _is_possible(act.verb, body):
        return "invalid"
    named = body.get("questionId", "")
    shown = question.shown.get(act.role, float("inf"))
    if named not in {"", question.id} or (named and shown - _SKEW > act.at):
        return "invalid unknown_ticket"
    if not named and shown > act.at:
        return "unknown_ticket"
    if act.at > question.deadline or (question.closed_n and act.at > question.closed_at):
        return "already_answered too_late"
    return _by_others(act, body, before)


def _met(act: ActSent, before: Sequence[Deed]) -> Deed | None:
    """The claim that holds when something is said: logs have times to the millisecond.

    So what was stored less than half of one before a claim expires comes after that.
    """
    return holder(before, round(act.at, 3))


def _is_possible(verb: str, body: Mapping[str, Any]) -> bool:
    if verb == "pass":
        return str(body.get("to", "")).startswith(("role:", "person:"))
    return verb != "claim" or 0 <= body.get("minutes", 30) <= 24 * 60


def _by_others(act: ActSent, body: Mapping[str, Any], before: Sequence[Deed]) -> str:
    """What an act must be told to an open question, after all that was said before."""
    if _is_repeated(act, before):
        return "recorded"
    held = _met(act, before)
    if act.verb == "claim" and held is not None:
        return "recorded" if held.by == act.by else "already_claimed"
    if act.verb == "claim":
        return "recorded" if body.get("minutes", 30) else "invalid"
    to = body.get("to", "")
    elsewhere = to.startswith("role:") and to not in {f"role:{SQUAD}", f"role:{BOSS}"}
    return "invalid" if elsewhere or to in {f"role:{act.role}", f"person:{act.by}"} else "recorded"


def _listed(question: Question, recorded: Sequence[Deed], name: str) -> Iterator[Violation]:
    """Whether the record of the ticket says who is on it, and who is not, as the log does."""
    if question.listed is None:
        return
    held = holder(recorded, float("-inf"))
    wanted = held.by if held is not None else "", out(recorded)
    if question.listed != wanted:
        yield Violation("claim shown wrongly", f"{name}: {question.listed} instead of {wanted}")


# -- rungs ---------------------------------------------------------------------------------------


def _rung(
    question: Question, entry: Entry, was_delayed: Callable[[float, float], bool], name: str
) -> Iterator[Violation]:
    """Whether reminders go to who is on it, and others are asked when nobody is left."""
    if isinstance(entry.record, Declined):
        yield from _declined(question, entry, name)
    if not isinstance(entry.record, Reached):
        return
    record = entry.record
    if record.early and not any(isinstance(each, Declined) for each in entry.others):
        yield Violation("rung before its time", f"{name}: rung {record.rung} is early")
    if record.rung >= len(question.planned) or question.planned[record.rung].kind != REMINDER:
        return
    if was_delayed(entry.at - _READ, entry.at):
        return
    since = entry.at - _READ
    entries = [each for each in question.entries if each.n < entry.n and not _is_rung(each)]
    deeds = [_deed(each.record) for each in entries]
    sure = [_deed(each.record) for each in entries if each.at < entry.at - _UNDER_WAY]
    possible = {_name(holder(deeds, at)) for at in (since, entry.at)}
    possible |= {_name(holder(sure, at)) for at in (since, entry.at)}
    # A claim that was given, or ended, within what a rung takes may or may not count.
    possible |= {_name(holder(deeds[:number], entry.at)) for number in range(len(sure), len(deeds))}
    if (by := ",".join(record.told)) not in possible or record.claimed != bool(by):
        text = f"{name}: rung {record.rung} told {record.told}, claimed {record.claimed}"
        yield Violation("claim not kept", f"{text}, and {possible} had claimed it")


def _name(deed: Deed | None) -> str:
    return deed.by if deed is not None else ""


def _declined(question: Question, entry: Entry, name: str) -> Iterator[Violation]:
    """Whether, where nobody is left who was asked, others are asked in the same entry."""
    before = [each for each in question.entries if each.n < entry.n]
    deeds = [_deed(each.record) for each in (*before, entry) if not _is_rung(each)]
    places = {each.record.rung for each in before if isinstance(each.record, Reached)}
    further = [
        place
        for place, rung in enumerate(question.planned)
        if rung.kind == ESCALATION and place not in places
    ]
    asked = {question.planned[place].to for place in places} | {deed.to for deed in deeds}
    people = {*PEOPLE, *(to.removeprefix("person:") for to in asked if to.startswith("person:"))}
    nobody = people <= set(out(deeds)) and f"role:{BOSS}" not in asked
    wanted = further[:1] if nobody and entry.at < question.deadline - _UNDER_WAY else []
    if nobody and entry.at >= question.deadline - _UNDER_WAY:
        return
    if (got := [each.rung for each in entry.others if isinstance(each, Reached)]) != wanted:
        yield Violation("declined by all", f"{name} at {entry.n}: reached {got}, not {wanted}")


def _published(question: Question, name: str) -> Iterator[Violation]:
    """Whether everybody who was asked too has got the question, once."""
    published = Counter((message.role, message.place) for message in question.messages)
    for (role, place), times in published.items():
        if times > 1:
            yield Violation("rung published twice", f"{name}: rung {place} for {role}, {times}")
    for entry in question.entries:
        if (asked := _asked(question, entry.record)) is None:
            continue
        kind, role, by, told = asked
        place = entry.record.rung if isinstance(entry.record, Passed | Reached) else -1
        found = [m for m in question.messages if (m.role, m.place) == (role, place)]
        if not found and min(question.closed_at, question.deadline) - entry.at > SOON:
            yield Violation(kind, f"{name}: rung {place} for {role}")
        for message in found:
            if message.passed_by != by or message.told != ",".join(told):
                yield Violation("wrong person told", f"{name}: {message}, and the log: {asked}")


def _asked(
    question: Question, record: Said | Reached
) -> tuple[str, str, str, Sequence[str]] | None:
    """Of a rung that must be published: what it is if it is not, for which role, by whom, and who
    is told.
    """
    if isinstance(record, Passed):
        role = record.to.removeprefix("role:") if record.to.startswith("role:") else record.role
        return "pass lost", role or SQUAD, record.by, record.told
    if not isinstance(record, Reached) or record.rung >= len(question.planned):
        return None
    rung = question.planned[record.rung]
    if rung.kind == ASKED:
        return None
    role = rung.to.removeprefix("role:") if rung.to.startswith("role:") else SQUAD
    return "rung without its message", role, "", record.told
