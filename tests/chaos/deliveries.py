"""What became of cards: what the logs say, against what the board was told. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Any, NamedTuple

from layby.runtime.card_records import FAILED, FIRST, HELD, SENT, Notified, Undelivered
from layby.runtime.ladder_records import ESCALATION, PlannedRung, Reached

from .board import UNTOLD, Call
from .naps import EVERY, QUIET
from .violation import Violation

SOON = 20.0
"""Seconds within which a card is sent, or given up, whatever fails meanwhile, of an outage of its
channel only what is left to do afterwards.

A board that is up fails a card twice at most, and each failure costs the 2 s until it counts as
one, and a pause of 1 or 2 s, a quarter more at most. That is 8 s; a death adds an ack-wait of 3 s,
and if nothing is up for a while, 4 s pass.
"""
_PAUSE = 0.25
"""How much longer than an outage a card may wait: as a part of the outage."""
STEADY = 5.0
"""Seconds for which a board is up before its next outage is another one: the pause after the first
one may last as long, and then a card has to find it up."""
_UNDER_WAY = 1.0
"""Seconds for which what was decided before an end may be on its way."""
_TAKEN_OVER = 4.0
"""Seconds after a call in which its process may die, or be delayed, before that is recorded."""
_CLOCKS = 0.1


class Noted(NamedTuple):
    """An entry about a card, in its log."""

    n: int
    at: float
    record: Notified
    others: tuple[object, ...]
    """The records of the same entry."""


class Published(NamedTuple):
    """A question that was published for one role: one card for each of its channels."""

    at: float
    role: str
    place: int
    """The rung; FIRST: it was asked."""


class Carded(NamedTuple):
    """Everything that was recorded of one question's cards."""

    question: str
    channels: Mapping[str, tuple[str, ...]]
    """The channels of each role."""
    planned: Sequence[PlannedRung]
    published: Sequence[Published]
    noted: Sequence[Noted]
    undelivered: Sequence[tuple[int, Undelivered]]
    reached: Sequence[tuple[int, Reached]]
    deadline: float
    closed_n: int
    """The position that closed it; 0: it is open."""
    closed_at: float
    """Unix seconds; while it is open: now."""
    status: str
    run_status: str
    """How its run ended, as cards say it; empty: it goes on."""

    def key(self, role: str, channel: str, place: int) -> str:
        """What the board knows a card by."""
        return f"{self.question}.{role}.{channel}.{'first' if place == FIRST else place}"


class Seen(NamedTuple):
    """What the board was told, and what may have kept somebody from recording it."""

    sent: Mapping[str, Sequence[Call]]
    """Every call to send a card, by its key."""
    shown: Mapping[str, Mapping[str, Any]]
    """What people see at last, by what the board called it."""
    died: Mapping[int, float]
    """When each process died that has."""
    unheard: AbstractSet[str]
    """The calls whose callers were told nothing, or too late."""
    was_delayed: Callable[[float, float], bool]
    """Whether something was held up within a span of time."""
    outages: Sequence[tuple[float, float]] = ()
    """When the channel took nothing."""

    def allowed(self, since: float, until: float) -> float:
        """Seconds within which a card that waits for so long must have become known."""
        amid = [(a, b) for a, b in self.outages if a <= until and since <= b]
        without = sum(min(b, until) - max(a, since) for a, b in amid)
        return SOON + without + _PAUSE * sum(b - a for a, b in amid)


def outages(downs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same spans, as one where the channel was up between them only for a moment."""
    found: list[tuple[float, float]] = []
    for since, until in downs:
        if found and since - found[-1][1] < STEADY:
            since, _ = found.pop()  # noqa: PLW2901
        found.append((since, until))
    return found


def wrongs(carded: Carded, seen: Seen) -> Iterator[Violation]:
    """What is wrong with a question's cards."""
    folded = _folded(carded)
    for publication in carded.published:
        for channel in carded.channels.get(publication.role, ()):
            place = (publication.role, channel, publication.place)
            yield from _lost(carded, publication, folded.get(place), place, seen)
    for place, noted in folded.items():
        yield from _shown(carded, place, noted, seen)
    for noted in carded.noted:
        yield from _agrees(carded, noted, seen)
    for key, calls in seen.sent.items():
        if key.startswith(f"{carded.question}."):
            yield from _sent(carded, key, calls, folded, seen)
    yield from _given_up(carded)


_Place = tuple[str, str, int]


def _place(record: Notified) -> _Place:
    return record.role, record.channel, record.rung


def _folded(carded: Carded) -> dict[_Place, Noted]:
    """What the log says last of each card."""
    found: dict[_Place, Noted] = {}
    for noted in carded.noted:
        if _counts(found.get(_place(noted.record)), noted.record):
            found[_place(noted.record)] = noted
    return found


def _counts(before: Noted | None, record: Notified) -> bool:
    """Whether more can be said of a card: nothing follows that it was sent, or given up.

    What nobody had sent in time has no sequence, and may still be sent.
    """
    if before is None or before.record.status == HELD:
        return True
    return before.record.status == FAILED and record.seq > before.record.seq


def _lost(
    carded: Carded, published: Published, noted: Noted | None, place: _Place, seen: Seen
) -> Iterator[Violation]:
    """Whether a card has become known in time, or its question was closed before."""
    since, until = published.at, min(carded.closed_at, carded.deadline)
    held = [each.record.until for each in carded.noted if _is_held(each, place)]
    if held:
        since = max(held)
    is_known = noted is not None and noted.record.status != HELD
    if is_known:
        until = min(each.at for each in carded.noted if _is_final(each, place))
    if until - since <= seen.allowed(since, until):
        return
    if is_known:
        text = f"{carded.key(*place)} became known {until - since:.3f} s after {since:.3f}"
        yield Violation("card late", text)
        return
    how = f"is held until {since:.3f}" if held else "is not known"
    text = f"{carded.key(*place)} {how}, {until - since:.3f} s before the end"
    yield Violation("card lost", text)


def _is_held(noted: Noted, place: _Place) -> bool:
    return noted.record.status == HELD and _place(noted.record) == place


def _is_final(noted: Noted, place: _Place) -> bool:
    return noted.record.status != HELD and _place(noted.record) == place


def _shown(carded: Carded, place: _Place, noted: Noted, seen: Seen) -> Iterator[Violation]:
    """Whether people see on a card that was sent how its question and its run have ended."""
    if noted.record.status != SENT or not carded.closed_n:
        return
    there = seen.shown.get(noted.record.ref)
    now = (there["status"], there.get("run_status", "")) if there is not None else None
    if now != (wanted := (carded.status, carded.run_status)):
        yield Violation("card left open", f"{carded.key(*place)}: shows {now}, not {wanted}")


def _agrees(carded: Carded, noted: Noted, seen: Seen) -> Iterator[Violation]:
    """Whether the board has the card that a log says was sent, or has refused it."""
    record = noted.record
    key = carded.key(*_place(record))
    calls = [call for call in seen.sent.get(key, ()) if call.began <= noted.at + _CLOCKS]
    if record.status == SENT and record.ref not in {call.ref for call in calls if call.done}:
        yield Violation("card disagrees with the log", f"{key}: no card {record.ref!r} was sent")
    given_up = record.status == FAILED and record.seq
    if given_up and not any(_was_in_vain(call) for call in calls):
        yield Violation("card disagrees with the log", f"{key}: never failed, {record.reason!r}")


def _was_in_vain(call: Call) -> bool:
    return not call.done or call.fate in UNTOLD


def _sent(
    carded: Carded,
    key: str,
    calls: Sequence[Call],
    folded: Mapping[_Place, Noted],
    seen: Seen,
) -> Iterator[Violation]:
    """Whether each card was sent once, while somebody should see it."""
    noted = next((n for place, n in folded.items() if carded.key(*place) == key), None)
    known = noted if noted is not None and noted.record.status == SENT else None
    alone = [
        call
        for call in calls
        if call.done
        and (known is None or call.ref != known.record.ref)
        and not _is_excused(call, seen)
    ]
    if len(alone) > (known is None):
        text = ", ".join(_told_of(call, seen) for call in calls)
        how = f"recorded {known.record.ref} at {known.at:.3f}" if known else "not recorded"
        yield Violation("card sent twice", f"{key}: {text}; {how}")
    for call in calls:
        late = call.began - carded.closed_at
        if late > _UNDER_WAY and not seen.was_delayed(carded.closed_at, call.began):
            text = f"{key}: {late:.3f} s after it, {_told_of(call, seen)}"
            yield Violation("card after the end", text)
        if known is not None:
            late = call.began - known.at
            if late > _UNDER_WAY and not seen.was_delayed(known.at, call.began):
                yield Violation("card sent twice", f"{key}: {late:.3f} s after its record")
        yield from _quiet(carded, key, call)


def _told_of(call: Call, seen: Seen) -> str:
    died = seen.died.get(call.pid)
    end = f", which died at {died:.3f}" if died else ""
    span = f"{call.began:.3f} to {call.done:.3f}"
    return f"{call.ref or 'nothing'} at {span}, {call.fate}, by {call.pid}{end}"


def _is_excused(call: Call, seen: Seen) -> bool:
    """Whether its sender cannot have recorded it: it was not told, has died, or was delayed."""
    until = call.began + _TAKEN_OVER
    if call.id in seen.unheard or call.began <= seen.died.get(call.pid, 0.0) <= until:
        return True
    # Whoever was stopped while they held a card sends it afterwards: by then another may have it.
    return seen.was_delayed(call.began - _UNDER_WAY, until)


def _quiet(carded: Carded, key: str, call: Call) -> Iterator[Violation]:
    """Whether a first card was sent in quiet hours that nothing overrides."""
    _, role, channel, word = key.rsplit(".", 3)
    if role != "night" or word != "first":
        return
    since = call.began % EVERY
    is_quiet = _UNDER_WAY < since < QUIET - _CLOCKS
    until = call.began - since + QUIET
    if not is_quiet or until >= carded.deadline:
        return
    held = [
        noted.record.until
        for noted in carded.noted
        if _place(noted.record) == (role, channel, FIRST) and noted.record.status == HELD
    ]
    if not held or min(held) > call.began + _CLOCKS:
        yield Violation("card in quiet hours", f"{key}: {QUIET - since:.3f} s before they end")


def _given_up(carded: Carded) -> Iterator[Violation]:
    """Whether it is said, once, that nobody was told, and others are asked then and only then."""
    name = f"question {carded.question}"
    for rung, times in Counter(record.rung for _, record in carded.reached).items():
        if times > 1:
            yield Violation("rung reached twice", f"{name}: rung {rung}, {times} times")
    told: dict[_Place, Noted] = {}
    lost: set[tuple[str, int]] = set()
    for n, together in groupby(carded.noted, key=lambda noted: noted.n):
        entry = list(together)
        news = [each for each in entry if _counts(told.get(_place(each.record)), each.record)]
        told |= {_place(each.record): each for each in news}
        for role, rung in dict.fromkeys((e.record.role, e.record.rung) for e in news):
            places = [(role, channel, rung) for channel in carded.channels[role]]
            status = {told[each].record.status if each in told else "" for each in places}
            if SENT in status:
                lost.discard((role, rung))
            is_last = status == {FAILED} and (role, rung) not in lost
            if not carded.closed_n or n < carded.closed_n:
                yield from _said(carded, entry[0], (role, rung), name, is_last=is_last)
            lost |= {(role, rung)} if is_last else set()
    early = {record.rung for _, record in carded.reached if record.early}
    given = {n for n, _ in carded.undelivered}
    for rung in early - {record.rung for n, record in carded.reached if n in given}:
        yield Violation("undelivered wrongly", f"{name}: rung {rung} is early without a reason")


def _said(
    carded: Carded, noted: Noted, place: tuple[str, int], name: str, *, is_last: bool
) -> Iterator[Violation]:
    """Whether an entry about cards says no more and no less than it must."""
    said = [(each.role, each.rung) for each in noted.others if isinstance(each, Undelivered)]
    if said != [place] * is_last:
        text = f"{name}: {place} at {noted.n}, and said: {said}"
        yield Violation("undelivered missed" if is_last else "undelivered wrongly", text)
        return
    before = {record.rung for n, record in carded.reached if n < noted.n}
    left = [
        number
        for number, rung in enumerate(carded.planned)
        if rung.kind == ESCALATION and number not in before and number > place[1]
    ]
    now = [each.rung for each in noted.others if isinstance(each, Reached)]
    if is_last and now != left[:1] and noted.at < carded.deadline - _UNDER_WAY:
        yield Violation("undelivered missed", f"{name}: at {noted.n} reached {now}, not {left[:1]}")
