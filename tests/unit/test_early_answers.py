"""Whose answers are taken early first."""

from __future__ import annotations

from layby.actors.people.early_answers import FairQueue, Hit
from layby.bus.lookahead import WaitingMessage


def hit(seq: int) -> Hit:
    return Hit(WaitingMessage("developer.response.T1", seq, 0.0), "T1")


def taken(queue: FairQueue, count: int) -> list[int]:
    return [found.seen.seq for _ in range(count) if (found := queue.get())]


def test_responders_take_turns_even_if_one_has_sent_many_answers() -> None:
    queue = FairQueue()
    for seq in range(1, 501):
        queue.put(hit(seq), "mallory")
    queue.put(hit(501), "ada")
    queue.put(hit(502), "")
    queue.put(hit(503), "ada")
    assert taken(queue, 6) == [1, 501, 502, 2, 503, 3]


def test_one_responder_can_fill_only_their_own_queue() -> None:
    queue = FairQueue()
    for seq in range(1, 10_001):
        queue.put(hit(seq), "mallory")
    queue.put(hit(10_001), "ada")
    left = taken(queue, 20_000)
    assert len(left) < 2_000
    assert 10_001 in left[:2]
    assert queue.get() is None
