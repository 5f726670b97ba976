"""What the campaign `cards` holds Layby against: cards in the log, and on the board."""

from __future__ import annotations

from typing import Any

import pytest

from layby.runtime.card_records import FIRST, Notified, Undelivered
from layby.runtime.ladder_records import PlannedRung, Reached
from tests.chaos.board import Board, Call, refuses
from tests.chaos.deliveries import Carded, Noted, Published, Seen, outages, wrongs
from tests.chaos.naps import Naps

CHANNELS = {"ops": ("one", "two"), "night": ("one",), "chief": ("one",)}
PLANNED = [PlannedRung(kind="escalation", at=190.0, to="role:chief")]


def call(channel: str, at: float, number: int = 1, *, role: str = "ops", **more: Any) -> Call:
    key = f"q1.{role}.{channel}.first"
    ref = f"{key}#{number}"
    pid, fate = more.pop("pid", 7), more.pop("fate", "done")
    return Call("send", key, ref, pid, more.pop("id", ""), at, fate, {}, **more)


def sent(channel: str, at: float, number: int = 1, **more: Any) -> Call:
    return call(channel, at, number, done=at, **more)


def noted(n: int, at: float, channel: str, status: Any, *others: Any, **more: Any) -> Noted:
    ref = f"q1.ops.{channel}.first#1" if status == "sent" else ""
    record = Notified(id="q1", role="ops", channel=channel, status=status, ref=ref)
    for name, value in more.items():
        record = type(record)(**{**_fields(record), name: value})
    return Noted(n, at, record, (record, *others))


def _fields(record: Notified) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


CALLS = [sent("one", 101.0), sent("two", 101.2)]
NOTED = [noted(3, 101.1, "one", "sent"), noted(4, 101.3, "two", "sent")]
CLOSED = {"status": "answered", "run_status": "completed"}
SHOWN: dict[str, Any] = {each.ref: CLOSED for each in CALLS}


def kinds(
    calls: list[Call] | None = None,
    found: list[Noted] | None = None,
    *,
    shown: dict[str, Any] | None = None,
    died: dict[int, float] | None = None,
    delays: tuple[tuple[float, float], ...] = (),
    downs: tuple[tuple[float, float], ...] = (),
    **more: Any,
) -> list[str]:
    calls, found = CALLS if calls is None else calls, NOTED if found is None else found
    about: dict[str, Any] = {
        "planned": PLANNED,
        "published": [Published(100.0, "ops", FIRST)],
        "undelivered": [
            (each.n, other) for each in found for other in each.others if _is_undelivered(other)
        ],
        "reached": [
            (each.n, other) for each in found for other in each.others if isinstance(other, Reached)
        ],
        "deadline": 200.0,
        "closed_n": 9,
        "closed_at": 150.0,
        "status": "answered",
        "run_status": "completed",
    }
    carded = Carded("q1", CHANNELS, noted=found, **{**about, **more})
    by_key: dict[str, list[Call]] = {}
    for each in calls:
        by_key.setdefault(each.key, []).append(each)

    def was_delayed(since: float, until: float) -> bool:
        return any(a <= until and since <= b for a, b in delays)

    shown = SHOWN if shown is None else shown
    seen = Seen(by_key, shown, died or {}, {"unheard"}, was_delayed, outages(downs))
    return sorted(each.kind for each in wrongs(carded, seen))


def _is_undelivered(record: Any) -> bool:
    return isinstance(record, Undelivered)


def test_cards_that_were_sent_recorded_and_closed_are_right() -> None:
    assert kinds() == []


@pytest.mark.parametrize("number", [2, 3])
def test_a_second_card_is_found(number: int) -> None:
    assert kinds([*CALLS, sent("one", 101.0, number)]) == ["card sent twice"]


def test_a_card_whose_sender_died_before_its_record_may_come_again() -> None:
    orphan = sent("one", 100.5, 2, pid=8)
    assert kinds([orphan, *CALLS], died={8: 101.0}) == []
    assert kinds([orphan, *CALLS], died={8: 99.0}) == ["card sent twice"], "not that process"
    assert kinds([orphan, *CALLS], died={8: 120.0}) == ["card sent twice"], "much later"
    assert kinds([orphan, *CALLS], delays=((101.0, 103.0),)) == []
    assert kinds([orphan, *CALLS], delays=((97.0, 100.2),)) == [], "it goes on after a stop"
    assert kinds([orphan, *CALLS], delays=((96.0, 99.0),)) == ["card sent twice"], "long before"


def test_a_card_whose_sender_was_told_nothing_may_come_again() -> None:
    assert kinds([sent("one", 100.5, 2, id="unheard"), *CALLS]) == []
    assert kinds([sent("one", 100.5, 2, id="heard"), *CALLS]) == ["card sent twice"]


def test_a_card_that_comes_after_its_record_is_found_whoever_died() -> None:
    again = sent("one", 110.0, 2, pid=8)
    assert kinds([*CALLS, again], died={8: 110.5}) == ["card sent twice"]


def test_a_card_of_a_closed_question_is_found() -> None:
    late = [sent("one", 152.0), CALLS[1]]
    assert "card after the end" in kinds(late, [noted(10, 152.1, "one", "sent"), NOTED[1]])


def test_a_card_that_is_not_known_long_after_its_question_was_published_is_lost() -> None:
    assert kinds(CALLS[:1], NOTED[:1], shown=SHOWN) == ["card lost"]
    assert kinds(CALLS[:1], NOTED[:1], shown=SHOWN, closed_at=110.0) == []


def test_a_card_that_becomes_known_late_is_found_although_it_is_known() -> None:
    late = [NOTED[0], noted(4, 120.5, "two", "sent")]
    calls = [CALLS[0], sent("two", 120.4)]
    assert kinds(calls, late) == ["card late"]
    assert kinds(calls, late, downs=((105.0, 107.0),)) == []
    assert kinds(calls, late, downs=((125.0, 127.0),)) == ["card late"], "afterwards"


def test_a_card_that_was_held_is_late_from_when_it_is_due() -> None:
    ref = "q1.night.one.first#1"
    key = {"role": "night", "ref": ref}
    found = [noted(2, 91.0, "one", "held", role="night", until=106.0)]
    late = [*found, noted(3, 126.5, "one", "sent", **key)]
    about: dict[str, Any] = {"published": [Published(91.0, "night", FIRST)], "shown": {ref: CLOSED}}
    assert kinds([sent("one", 126.4, role="night")], late, **about) == ["card late"]
    soon = [*found, noted(3, 125.5, "one", "sent", **key)]
    assert kinds([sent("one", 125.4, role="night")], soon, **about) == []


def test_outages_with_moments_between_them_are_one() -> None:
    assert outages([]) == []
    downs = [(1.0, 3.0), (3.3, 5.3), (5.5, 7.5), (20.0, 22.0)]
    assert outages(downs) == [(1.0, 7.5), (20.0, 22.0)]


@pytest.mark.parametrize("there", [None, {"status": "open"}, {"status": "answered"}])
def test_a_card_that_does_not_show_the_end_is_found(there: Any) -> None:
    ref = CALLS[0].ref
    shown = {**SHOWN, ref: there} if there else {k: v for k, v in SHOWN.items() if k != ref}
    assert kinds(shown=shown) == ["card left open"]


def test_a_record_of_a_card_that_was_never_sent_is_found() -> None:
    assert "card disagrees with the log" in kinds(CALLS[1:])
    wrong = [noted(3, 101.1, "one", "failed", reason="gone", seq=9), NOTED[1]]
    assert "card disagrees with the log" in kinds(found=wrong)


def test_what_nobody_had_sent_in_time_may_be_sent_later_and_is_undelivered_till_then() -> None:
    both = [noted(3, 101.1, "one", "failed"), noted(3, 101.1, "two", "failed")]
    records = tuple(each.record for each in both)
    lost = [each._replace(others=(*records, GONE, EARLY)) for each in both]
    later = noted(5, 120.1, "one", "sent", seq=4)
    calls = [sent("one", 120.0)]
    shown = {calls[0].ref: CLOSED}
    found: dict[str, Any] = {"undelivered": [(3, GONE)], "reached": [(3, EARLY)], "shown": shown}
    assert kinds(calls, [*lost, later], **found) == []
    again = noted(4, 110.0, "two", "failed", GONE, seq=5)
    failed = [call("two", 109.0, fate="refused")]
    assert "undelivered wrongly" in kinds([*calls, *failed], [*lost, again, later], **found)
    quiet = again._replace(others=(again.record,))
    assert kinds([*calls, *failed], [*lost, quiet, later], **found) == []


FAILED = [call("one", 101.0, fate="refused"), call("two", 101.2, fate="refused")]
GONE = Undelivered(id="q1", role="ops", rung=FIRST)
EARLY = Reached(id="q1", rung=0, early=True)


def test_a_question_that_nobody_was_told_of_is_undelivered_once() -> None:
    first = noted(3, 101.1, "one", "failed")
    assert kinds(FAILED, [first, noted(4, 101.3, "two", "failed", GONE, EARLY)]) == []
    assert kinds(FAILED, [first, noted(4, 101.3, "two", "failed")]) == ["undelivered missed"]
    assert kinds(FAILED, [first, noted(4, 101.3, "two", "failed", GONE)]) == ["undelivered missed"]
    twice = noted(3, 101.1, "one", "failed", GONE, EARLY)
    last = noted(4, 101.3, "two", "failed", GONE, EARLY)
    assert "undelivered wrongly" in kinds(FAILED, [twice, last])
    assert "rung reached twice" in kinds(FAILED, [twice, last])


def test_after_the_end_nobody_need_be_told_that_a_card_was_given_up() -> None:
    first, last = noted(3, 101.1, "one", "failed"), noted(10, 110.2, "two", "failed")
    assert kinds(FAILED, [first, last], closed_at=110.0) == []


def test_an_escalation_before_its_time_without_a_reason_is_found() -> None:
    assert kinds(reached=[(5, EARLY)]) == ["undelivered wrongly"]


def test_a_first_card_in_quiet_hours_is_found_unless_it_was_held_till_then() -> None:
    at = 101.5  # six seconds of ten are quiet
    calls = [sent("one", at, role="night")]
    ref = calls[0].ref
    found = [noted(3, at + 0.1, "one", "sent", role="night", ref=ref)]
    night: dict[str, Any] = {"published": [], "shown": {ref: CLOSED}}
    assert kinds(calls, found, **night) == ["card in quiet hours"]
    assert kinds(calls, found, **night, deadline=102.0) == [], "there is no later"
    held = noted(2, 91.0, "one", "held", role="night", until=93.0)
    assert kinds(calls, [held, *found], **night) == [], "it was held once"
    still = noted(2, 101.1, "one", "held", role="night", until=103.0)
    assert kinds(calls, [still, *found], **night) == ["card in quiet hours"]


def test_a_card_that_is_held_for_ever_is_lost() -> None:
    held = [noted(2, 91.0, "one", "held", role="night", until=103.0)]
    published = [Published(91.0, "night", FIRST)]
    assert kinds([], held, published=published) == ["card lost"]
    assert kinds([], held, published=published, closed_at=110.0) == []


def test_naps_are_six_seconds_of_every_ten() -> None:
    naps = Naps()
    times = (100.0, 105.9, 106.0, 109.9, 110.0)
    assert [naps.until(at) for at in times] == [106.0, 106.0, 106.0, 109.9, 116.0]


def test_the_board_fails_by_its_seed_and_never_more_than_twice_in_a_row() -> None:
    board, again = Board(7), Board(7)
    cards = [{"key": f"q{n}.ops.one.first", "role": "ops"} for n in range(200)]
    fates = [board._fate("send", card) for card in cards for _ in range(3)]
    assert fates == [again._fate("send", card) for card in cards for _ in range(3)]
    assert set(fates) == {"done", "slow", "busy", "limited", "hangs", "late", "lost"}
    for place in range(0, len(fates), 3):
        assert {"done", "slow"} & set(fates[place : place + 3])
    board.is_down = True
    assert board._fate("send", cards[0]) == "down"


def test_the_board_refuses_some_cards_of_one_role_for_ever() -> None:
    cards = [{"key": f"q{n}.mute.one.first", "role": "mute"} for n in range(100)]
    refused = [card for card in cards if refuses(7, card)]
    assert 40 < len(refused) < 90
    assert {Board(7)._fate("send", card) for card in refused} == {"refused"}
    assert not any(refuses(7, {**card, "role": "ops"}) for card in cards)
