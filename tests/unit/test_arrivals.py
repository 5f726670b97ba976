"""What a worker may know of answers that others have: never too much."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, cast

from layby.actors.arrivals import Arrivals
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


async def looked(in_hands: int = 1) -> Arrivals:
    kept = Arrivals("developer", cast("Any", Hosted()), cast("Any", Asked(in_hands)))
    kept.look()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return kept


async def test_the_first_answer_is_no_doubt_where_the_server_says_how_far_it_was() -> None:
    assert not doubts(await looked(), Came(9, 7, 40.0), shown=30.0)
    assert doubts(await looked(), Came(9, 7, 40.0), shown=20.5)
    assert doubts(await looked(), Came(9, 8, 40.0), shown=30.0)


async def test_no_answer_of_before_is_doubt_where_nobody_had_one_in_hand() -> None:
    assert not doubts(await looked(in_hands=0), Came(9, 7, 40.0), shown=5.0)
    assert doubts(await looked(in_hands=0), Came(9, 8, 40.0), shown=5.0)


def arrivals(*came: Came) -> tuple[Arrivals, Hosted]:
    host = Hosted()
    kept = Arrivals("developer", cast("Any", host), cast("Any", Asked()))
    for each in came:
        kept.note(cast("Any", each), f"T{each.seq}")
        kept.finished(cast("Any", each), f"T{each.seq}")
    return kept, host


def doubts(kept: Arrivals, delivery: Came, shown: float, ticket: str = "T") -> bool:
    kept.note(cast("Any", delivery), ticket)
    return kept.leave_doubt(cast("Any", delivery), ticket, shown)


def test_without_a_gap_since_a_question_was_shown_there_is_no_doubt() -> None:
    kept, _ = arrivals(Came(1, 1, 10.0), Came(2, 2, 20.0))
    assert not doubts(kept, Came(3, 3, 30.0), shown=15.0)
    kept, _ = arrivals(Came(1, 1, 10.0), Came(2, 2, 20.0))
    assert doubts(kept, Came(3, 3, 30.0), shown=10.5)


def test_a_gap_is_doubt() -> None:
    kept, _ = arrivals(Came(1, 1, 10.0), Came(2, 2, 20.0))
    assert doubts(kept, Came(4, 4, 30.0), shown=15.0)


def test_an_old_answer_that_comes_again_does_not_tell_since_when_nothing_is_missed() -> None:
    kept, _ = arrivals(Came(1, 7, 10.0, num_delivered=2))
    assert doubts(kept, Came(9, 8, 30.0), shown=15.0)
    assert not doubts(kept, Came(10, 9, 40.0), shown=35.0, ticket="U")


def test_another_answer_of_the_ticket_in_hand_is_doubt_until_it_is_finished() -> None:
    kept, _ = arrivals(Came(1, 1, 10.0))
    first = Came(2, 2, 20.0)
    assert not doubts(kept, first, shown=15.0)
    assert doubts(kept, Came(3, 3, 21.0), shown=15.0)
    kept.finished(cast("Any", first), "T")
    assert not kept.leave_doubt(cast("Any", Came(3, 3, 21.0)), "T", 15.0)


def test_an_interruption_is_doubt() -> None:
    kept, host = arrivals(Came(1, 1, 10.0))
    third = Came(3, 2, 30.0)
    kept.note(cast("Any", third), "T")
    host.interruptions += 1
    assert kept.leave_doubt(cast("Any", third), "T", 15.0)
