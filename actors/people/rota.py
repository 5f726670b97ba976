"""A rota: who is on duty when, and who stands in for whom. Pure: no clock, no network.

Windows are half-open: somebody who begins at 09:00 is on duty then, one who ends at 09:00 is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ...bus.token import check_words

_WEEK = timedelta(days=7)


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of local time in one time zone.

    Attributes:
        person: Whose.
        start: When it begins, `2026-11-30T09:00`, without an offset.
        end: When it is over.
        zone: The time zone, `Europe/Berlin`.
        weekly: Whether it comes again every week.
        delegate: For an absence: who stands in; empty: nobody.
    """

    person: str
    start: str
    end: str
    zone: str = "UTC"
    weekly: bool = False
    delegate: str = ""

    def __post_init__(self) -> None:
        """Refuse what is not a window. Raises ValueError."""
        if not self.person:
            raise ValueError("it has no person")
        check_words(self.person, self.delegate)
        start, end = self._wall(self.start), self._wall(self.end)
        if self.weekly and end - start > _WEEK:
            raise ValueError("a weekly window cannot be longer than a week")
        if self.instants[0] >= self.instants[1]:
            raise ValueError(f"it must begin before it ends: {self.start} to {self.end}")

    def __str__(self) -> str:
        weekly = ", weekly" if self.weekly else ""
        delegate = f", {self.delegate} stands in" if self.delegate else ""
        return f"{self.person}  {self.start} to {self.end} {self.zone}{weekly}{delegate}"

    @property
    def instants(self) -> tuple[float, float]:
        """Begin and end, Unix seconds; of a weekly window those of its first week."""
        zone = self._zone()
        start, end = self._wall(self.start), self._wall(self.end)
        return start.replace(tzinfo=zone).timestamp(), end.replace(tzinfo=zone).timestamp()

    def holds(self, at: float) -> bool:
        """Whether a time, in Unix seconds, is in it."""
        if not self.weekly:
            start, end = self.instants
            return start <= at < end
        first, over = self._wall(self.start), self._wall(self.end)
        now = datetime.fromtimestamp(at, self._zone()).replace(tzinfo=None)
        return now >= first and (now - first) % _WEEK < over - first

    def _zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, OSError):
            raise ValueError(f"this machine has no time zone {self.zone[:60]!r}") from None

    @staticmethod
    def _wall(text: str) -> datetime:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            raise ValueError(f"{text!r}: write the time without an offset, and its zone separately")
        return found


class Windows(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a key of the bucket holds: the shifts of a rota, or the absences of everybody."""

    windows: tuple[Window, ...] = ()
    edits: tuple[int, ...] = ()
    """The numbers of the latest commands that have changed them, so that none does so twice."""


class OnDuty(NamedTuple):
    """Who is told."""

    told: tuple[str, ...] = ()
    """Their names; empty: everybody with the role."""
    absent: Mapping[str, str] = MappingProxyType({})
    """By the name of a delegate: who is absent."""
    nobody: bool = False
    """Whether there is a rota, and it has nobody."""


def on_duty(shifts: Iterable[Window], absences: Sequence[Window], at: float) -> OnDuty:
    """Who is on duty at a time; absent people are replaced by those who stand in for them."""
    planned = dict.fromkeys(shift.person for shift in shifts if shift.holds(at))
    return standing_in(planned, absences, at)


def standing_in(people: Iterable[str], absences: Sequence[Window], at: float) -> OnDuty:
    """These people, or who stands in for them. A delegate acts in their own name."""
    told: dict[str, None] = {}
    absent: dict[str, str] = {}
    for person in people:
        found = stand_in(person, absences, at)
        if found:
            told.setdefault(found)
            if found != person:
                absent.setdefault(found, person)
    absent = {delegate: person for delegate, person in absent.items() if delegate not in people}
    return OnDuty(tuple(told), absent, nobody=not told)


def stand_in(person: str, absences: Sequence[Window], at: float) -> str:
    """The person, or the first in the chain of delegates who is there; empty: nobody is."""
    passed: set[str] = set()
    while person and person not in passed:
        passed.add(person)
        away = next((each for each in absences if each.person == person and each.holds(at)), None)
        if away is None:
            return person
        person = away.delegate
    return ""


def circle(absences: Sequence[Window]) -> tuple[str, ...]:
    """People who stand in for each other in a circle at some time; empty: nobody does.

    Who stands in for whom changes only where an absence begins.
    """
    for moment in (each.instants[0] for each in absences):
        away = {each.person: each.delegate for each in absences if each.holds(moment)}
        for person in away:
            chain = [person]
            while (after := away.get(chain[-1], "")) and after not in chain:
                chain.append(after)
            if after:
                return (*chain[chain.index(after) :], after)
    return ()
