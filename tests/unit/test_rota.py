"""A rota: windows without gaps and overlaps at their ends, and delegates without circles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.people.rota import Window, circle, on_duty, stand_in

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = "2026-11-30T09:00"


def shift(person: str = "ada", start: str = MONDAY, hours: float = 8, **more: object) -> Window:
    end = datetime.fromisoformat(start) + timedelta(hours=hours)
    fields = {"person": person, "start": start, "end": end.isoformat(), **more}
    return msgspec.convert({"zone": "Europe/Berlin", **fields}, Window)


def away(person: str, delegate: str = "", **more: object) -> Window:
    return shift(person, "2026-01-01", 24 * 365, delegate=delegate, **more)


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def test_a_window_begins_with_its_start_and_ends_before_its_end() -> None:
    window = shift()
    assert window.holds(at("2026-11-30 09:00"))
    assert window.holds(at("2026-11-30 16:59:59.999"))
    assert not window.holds(at("2026-11-30 17:00"))
    assert not window.holds(at("2026-11-30 08:59:59.999"))
    assert not window.holds(at("2026-11-30 12:00", ZoneInfo("America/New_York")))


def test_a_weekly_window_keeps_its_time_when_the_clock_is_changed() -> None:
    window = shift(weekly=True)
    for day in ("2026-12-07", "2027-03-29", "2027-11-01"):
        assert window.holds(at(f"{day} 09:00"))
        assert not window.holds(at(f"{day} 17:00"))
        assert not window.holds(at(f"{day} 08:59"))
    assert not window.holds(at("2026-11-23 10:00")), "before it first begins"
    assert not window.holds(at("2026-12-08 10:00"))


_STARTS = st.integers(0, 60 * 24 * 700).map(
    lambda minutes: datetime.fromisoformat("2026-01-01") + timedelta(minutes=minutes)
)


@given(
    start=_STARTS,
    hours=st.lists(st.integers(1, 48), min_size=1, max_size=6),
    into=st.floats(0, 300),
    weekly=st.booleans(),
)
def test_shifts_that_follow_each_other_have_one_person_on_duty_at_every_moment(
    *, start: datetime, hours: list[int], into: float, weekly: bool
) -> None:
    shifts: list[Window] = []
    begin = start
    for number, length in enumerate(hours):
        shifts.append(shift(f"p{number}", begin.isoformat(), length, zone="UTC", weekly=weekly))
        begin += timedelta(hours=length)
    moment = start.replace(tzinfo=UTC).timestamp() + into * 3600
    whole = sum(hours)
    told = on_duty(shifts, (), moment).told
    if into < whole <= 24 * 7:
        assert len(told) == 1
        behind = [sum(hours[: number + 1]) > into for number in range(len(hours))]
        assert told == (f"p{behind.index(True)}",)
    elif not weekly and into >= whole:
        assert told == ()


_NAMES = st.sampled_from("abcde")


@given(st.lists(st.tuples(_NAMES, _NAMES), max_size=12), _NAMES)
def test_a_chain_of_delegates_ends_with_somebody_who_is_there_or_with_nobody(
    pairs: list[tuple[str, str]], person: str
) -> None:
    absences = [away(who, delegate) for who, delegate in pairs]
    found = stand_in(person, absences, at("2026-06-01"))
    gone = {who for who, _ in pairs}
    assert not found or found not in gone
    first = {who: next(d for w, d in pairs if w == who) for who in gone}
    seen, now = set[str](), person
    while now in first and now not in seen:
        seen.add(now)
        now = first[now]
    assert found == ("" if now in seen else now)


def test_a_delegate_acts_in_their_own_name() -> None:
    duty = on_duty([shift()], [away("ada", "bob"), away("bob", "cto")], at("2026-11-30 10:00"))
    assert (duty.told, duty.absent, duty.nobody) == (("cto",), {"cto": "ada"}, False)


def test_somebody_who_is_on_duty_anyway_stands_in_for_nobody() -> None:
    duty = on_duty([shift("ada"), shift("bob")], [away("ada", "bob")], at("2026-11-30 10:00"))
    assert (duty.told, duty.absent) == (("bob",), {})


def test_nobody_is_on_duty_outside_of_shifts_and_while_nobody_stands_in() -> None:
    assert on_duty([], (), 0.0).nobody
    assert on_duty([shift()], (), at("2026-11-30 18:00")).nobody
    assert on_duty([shift()], [away("ada")], at("2026-11-30 10:00")).nobody


def test_a_circle_of_delegates_is_found_while_they_are_away_together() -> None:
    assert circle([away("ada", "bob"), away("bob", "ada")]) == ("ada", "bob", "ada")
    assert circle([away("ada", "ada")]) == ("ada", "ada")
    assert circle([away("ada", "bob"), away("bob", "cto")]) == ()
    later = shift("bob", "2028-01-01", 24, delegate="ada")
    assert circle([away("ada", "bob"), later]) == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"person": ""},
        {"person": "a.b"},
        {"delegate": "*"},
        {"zone": "Mars/Olympus"},
        {"zone": "../../etc/passwd"},
        {"start": "2026-11-30T09:00+01:00"},
        {"start": "soon"},
        {"end": "2026-11-30T09:00"},
        {"end": "2026-11-29T09:00"},
        {"end": "2026-12-10T09:00", "weekly": True},
    ],
)
def test_an_invalid_window_is_refused(fields: dict[str, object]) -> None:
    good = {"person": "ada", "start": "2026-11-30T09:00", "end": "2026-11-30T17:00"}
    msgspec.convert(good, Window)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**good, **fields}, Window)
