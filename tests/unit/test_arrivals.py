"""What a worker knows of answers that other workers handle: never too much."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, cast

from layby.actors.people.arrivals import Arrivals
from layby.bus.names import Names


class Came(NamedTuple):
    """A delivery."""

    seq: int
    consumer_seq: int
    at: float
    num_delivered: int = 1


class Hosted:
    """A worker that knows what the server may have forgotten."""

    interruptions = 0

    def may_repeat(self, delivery: Came) -> bool:
        return delivery.num_delivered > 1


class Asked:
    """A server that says how far it has delivered, and how much of it is in somebody's hands."""

    names = Names()

    def __init__(self, in_hands: int = 1) -> None:
        self.in_hands = in_hands

    async def api(self, verb: str) -> dict[str, Any]:
        assert verb == "CONSUMER.INFO.ANSWERS.answers-developer"
        return {
            "ts": "1970-01-01T00:00:20.000Z",
            "delivered": {"consumer_seq": 6},
            "num_ack_pending": self.in_hands,
        }


async def refreshed(in_hands: int = 1) -> Arrivals:
    kept = Arrivals("developer", cast("Any", Hosted()), cast("Any", Asked(in_hands)))
    kept.refresh()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return kept


async def test_the_first_answer_needs_no_read_if_the_server_said_how_far_it_had_delivered() -> None:
    assert not needs_read(await refreshed(), Came(9, 7, 40.0), shown=30.0)
    assert needs_read(await refreshed(), Came(9, 7, 40.0), shown=20.5)
    assert needs_read(await refreshed(), Came(9, 8, 40.0), shown=30.0)


async def test_earlier_answers_need_no_read_if_none_was_unacknowledged() -> None:
    assert not needs_read(await refreshed(in_hands=0), Came(9, 7, 40.0), shown=5.0)
    assert needs_read(await refreshed(in_hands=0), Came(9, 8, 40.0), shown=5.0)


def arrivals(*came: Came) -> tuple[Arrivals, Hosted]:
    host = Hosted()
    kept = Arrivals("developer", cast("Any", host), cast("Any", Asked()))
    for each in came:
        kept.note(cast("Any", each), f"T{each.seq}")
        kept.finished(cast("Any", each), f"T{each.seq}")
    return kept, host


def needs_read(kept: Arrivals, delivery: Came, shown: float, ticket: str = "T") -> bool:
    kept.note(cast("Any", delivery), ticket)
    return kept.may_have_earlier(cast("Any", delivery), ticket, shown)


def test_without_a_gap_since_a_question_was_shown_nothing_is_read() -> None:
    kept, _ = arrivals(Came(1, 1, 10.0), Came(2, 2, 20.0))
    assert not needs_read(kept, Came(3, 3, 30.0), shown=15.0)
    kept, _ = arrivals(Came(1, 1, 10.0), Came(2, 2, 20.0))
    assert needs_read(kept, Came(3, 3, 30.0), shown=10.5)


def test_after_a_gap_the_stream_is_read() -> None:
    kept, _ = arrivals(Came(1, 1, 10.0), Came(2, 2, 20.0))
    assert needs_read(kept, Came(4, 4, 30.0), shown=15.0)


def test_a_redelivered_answer_does_not_move_the_time_since_when_none_is_missed() -> None:
    kept, _ = arrivals(Came(1, 7, 10.0, num_delivered=2))
    assert needs_read(kept, Came(9, 8, 30.0), shown=15.0)
    assert not needs_read(kept, Came(10, 9, 40.0), shown=35.0, ticket="U")


def test_an_unfinished_earlier_answer_of_the_ticket_needs_a_read_until_it_is_finished() -> None:
    kept, _ = arrivals(Came(1, 1, 10.0))
    first = Came(2, 2, 20.0)
    assert not needs_read(kept, first, shown=15.0)
    assert needs_read(kept, Came(3, 3, 21.0), shown=15.0)
    kept.finished(cast("Any", first), "T")
    assert not kept.may_have_earlier(cast("Any", Came(3, 3, 21.0)), "T", 15.0)


def test_after_an_interruption_the_stream_is_read() -> None:
    kept, host = arrivals(Came(1, 1, 10.0))
    third = Came(3, 2, 30.0)
    kept.note(cast("Any", third), "T")
    host.interruptions += 1
    assert kept.may_have_earlier(cast("Any", third), "T", 15.0)
