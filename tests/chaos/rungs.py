"""What became of ladders: the rungs in the logs, and the messages in the stream. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from layby.runtime.ladder_records import ASKED, PlannedRung, Reached

from .violation import Violation

_SOON = 12.0
"""Seconds, while somebody is up, within which a rung is reached, and its message published.

Whoever is to publish it gets it as mail. Three workers may die with it, one after the other: each
costs an ack-wait of 1.5 s. Then it may be given to one that is stopped for 3 s, and come back to
nobody else before that. If the server dies too, that costs 0.5 s, up to 2 s until workers are
connected again, and an ack-wait that begins anew. That is 11.5 s. Of 1,492 rungs with seed 411, on
a machine ten times slower than an idle one, none took longer than 9.0 s; those for which nobody
was up took up to 10.8 s with the time until somebody was.
"""
_CLOCKS = 0.05
_UNDER_WAY = 1.0
"""Seconds for which what was decided before an end may be on its way."""
_READ = 2.5
"""Seconds for which what a rota said may be told, the time to read it included."""


class Edit(NamedTuple):
    """Somebody put themselves on duty, or off, at some moment of a span of time."""

    person: str
    began: float
    done: float
    on: bool


class Entry(NamedTuple):
    """A rung as a log has it."""

    n: int
    at: float
    record: Reached
    is_last: bool
    """Whether it is the last of its entry, and so the one that is published."""


class Message(NamedTuple):
    """A rung as it was published."""

    at: float
    role: str
    place: int
    told: tuple[str, ...]


class Ladder(NamedTuple):
    """Everything that was recorded of one question's ladder."""

    question: str
    asked: tuple[str, ...]
    """The roles that were asked."""
    planned: Sequence[PlannedRung]
    deadline: float
    entries: Sequence[Entry]
    messages: Sequence[Message]
    closed_n: int
    """The position that closed it; 0: it is open."""
    closed_at: float
    """Unix seconds; while it is open: now."""


class World(NamedTuple):
    """What else happened."""

    edits: Sequence[Edit] = ()
    delays: Sequence[tuple[float, float]] = ()
    """When a process was stopped, or its network silent: what it was amid came later."""

    absences: Sequence[tuple[float, float]] = ()
    """When nobody was up."""

    def waited(self, since: float, until: float) -> float:
        """Seconds of a span of time in which somebody was up."""
        alone = (max(0.0, min(b, until) - max(a, since)) for a, b in self.absences)
        return until - since - sum(alone)

    def was_delayed(self, since: float, until: float) -> bool:
        """Whether something was held up within a span of time."""
        return any(a - _UNDER_WAY <= until and since <= b + _UNDER_WAY for a, b in self.delays)

    def possible(self, person: str, since: float, until: float) -> set[bool]:
        """Whether somebody was on duty, at any moment of a span of time."""
        before = [each.on for each in self.edits if each.person == person and each.done <= since]
        found = {before[-1] if before else False}
        return found | {
            each.on
            for each in self.edits
            if each.person == person and each.done > since and each.began <= until
        }


def wrongs(ladder: Ladder, world: World) -> Iterator[Violation]:
    """What is wrong with a ladder."""
    name = f"question {ladder.question}"
    for place, times in Counter(each.record.rung for each in ladder.entries).items():
        if times > 1:
            yield Violation("rung reached twice", f"{name}: rung {place}, {times} times")
    published = Counter((each.place, each.role) for each in ladder.messages)
    for (place, role), times in published.items():
        if times > 1:
            yield Violation("rung published twice", f"{name}: rung {place} for {role}, {times}")
    for entry in ladder.entries:
        yield from _ended(ladder, entry, world, name)
        yield from _timely(ladder, entry, name)
        yield from _told(ladder, entry, world, name)
        yield from _published(ladder, entry, world, name)
    for message in ladder.messages:
        yield from _message(ladder, message, world, name)
    reached = {each.record.rung for each in ladder.entries}
    for place, rung in enumerate(ladder.planned):
        end = min(ladder.closed_at, ladder.deadline)
        if place not in reached and world.waited(rung.at, end) > _SOON:
            yield Violation("rung missed", f"{name}: rung {place}, due at {rung.at:.3f}")


def _ended(ladder: Ladder, entry: Entry, world: World, name: str) -> Iterator[Violation]:
    text = f"{name}: rung {entry.record.rung} was reached"
    if ladder.closed_n and entry.n > ladder.closed_n:
        yield Violation("rung after the end", f"{text} after it was closed")
    late = entry.at - ladder.deadline
    if late > _UNDER_WAY and not world.was_delayed(ladder.deadline - _UNDER_WAY, entry.at):
        yield Violation("rung after the end", f"{text} {late:.3f} s after its deadline")


def _timely(ladder: Ladder, entry: Entry, name: str) -> Iterator[Violation]:
    record = entry.record
    text = f"{name}: rung {record.rung}"
    if not 0 <= record.rung < len(ladder.planned):
        yield Violation("rung before its time", f"{text} was never planned")
    elif record.early:
        if not any(each.n == entry.n and each.record.nobody for each in ladder.entries):
            yield Violation("rung before its time", f"{text} is early, and somebody was on duty")
    elif (soon := ladder.planned[record.rung].at - entry.at) > _CLOCKS:
        yield Violation("rung before its time", f"{text}, {soon:.3f} s early")


def _told(ladder: Ladder, entry: Entry, world: World, name: str) -> Iterator[Violation]:
    """Whether those were told whom the rota names, or the person whom the rung names."""
    record = entry.record
    if not 0 <= record.rung < len(ladder.planned):
        return
    rung = ladder.planned[record.rung]
    text = f"{name}: rung {record.rung} told {record.told}, nobody {record.nobody}"
    if rung.to.startswith("person:") or not rung.rota:
        wanted = [rung.to.removeprefix("person:")] if rung.to.startswith("person:") else []
        if record.told != wanted or record.nobody:
            yield Violation("wrong person told", f"{text} instead of {wanted}")
        return
    since = entry.at - _READ
    if world.was_delayed(since, entry.at):
        return
    for person in {each.person for each in world.edits} | set(record.told):
        if (person in record.told) not in world.possible(person, since, entry.at):
            yield Violation("wrong person told", f"{text}, and {person} was not so at the time")
    if record.nobody == bool(record.told):
        yield Violation("wrong person told", text)


def _published(ladder: Ladder, entry: Entry, world: World, name: str) -> Iterator[Violation]:
    """Whether a rung that was reached long before the end has its messages."""
    record = entry.record
    if not entry.is_last or not 0 <= record.rung < len(ladder.planned):
        return
    rung = ladder.planned[record.rung]
    end = min(ladder.closed_at, ladder.deadline)
    if rung.kind == ASKED or world.waited(entry.at, end) < _SOON:
        return
    asked_too = rung.to.removeprefix("role:") if rung.to.startswith("role:") else ""
    roles = {asked_too} if asked_too else {*ladder.asked}
    found = {each.role for each in ladder.messages if each.place == record.rung}
    if not roles <= found:
        text = f"{name}: rung {record.rung} for {sorted(roles - found)}"
        yield Violation("rung without its message", text)


def _message(ladder: Ladder, message: Message, world: World, name: str) -> Iterator[Violation]:
    text = f"{name}: the message of rung {message.place} for {message.role}"
    entry = next((e for e in ladder.entries if e.record.rung == message.place), None)
    if entry is None or message.at < entry.at - _CLOCKS:
        yield Violation("rung before its time", f"{text} is not in the log, or was before it")
    elif message.told != tuple(entry.record.told):
        yield Violation("wrong person told", f"{text} names {message.told}")
    late = message.at - ladder.closed_at
    if late > _UNDER_WAY and not world.was_delayed(ladder.closed_at, message.at):
        yield Violation("rung after the end", f"{text} came {late:.3f} s after the end")


def lost_edits(edits: Sequence[Edit], on_duty: Mapping[str, bool]) -> Iterator[Violation]:
    """Whether a rota says in the end what each editor made of it last."""
    last = {each.person: each.on for each in edits}
    for person, on in last.items():
        if on_duty.get(person, False) != on:
            yield Violation("rota edit lost", f"{person} is {'not ' if on else ''}on duty")
