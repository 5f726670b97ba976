"""What a worker caches is limited in bytes."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from layby.bus.bounded import Bounded
from layby.bus.log import Log, LogMessage
from layby.bus.mailbox import Delivery
from layby.runtime.delivery_policy import DeliveryPolicy
from layby.runtime.entry import Raw, Started
from layby.runtime.envelope import Envelope, encode
from layby.runtime.errors import LaybyError
from layby.runtime.run import RunCache
from layby.runtime.state import RunState


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60))))
def test_no_more_is_kept_than_the_limit(puts: list[tuple[int, int]]) -> None:
    held: Bounded[int, int] = Bounded(100)
    for key, size in puts:
        held.put(key, size, size)
        assert held.get(key) == size
        kept = [found for key in range(10) if (found := held.get(key)) is not None]
        assert held.held == sum(kept) <= 100
        assert len(held) == len(kept)


def test_the_most_recently_used_values_are_kept() -> None:
    held: Bounded[str, str] = Bounded(10)
    held.put("a", "A", 5)
    held.put("b", "B", 5)
    assert held.get("a") == "A"
    held.put("c", "C", 5)
    assert (held.get("a"), held.get("b"), held.get("c")) == ("A", None, "C")
    held.put("huge", "H", 11)
    assert held.get("huge") is None
    held.pop("a")
    assert held.held == 5


def _opening(run: str) -> LogMessage:
    started = Started(
        workflow="w",
        actor="workflow-w",
        version="1",
        ticket=run,
        event=Raw(b'"%s"' % (b"x" * 1000)),
    )
    return LogMessage(1, "_", encode(Envelope(op=run, at=1.0, records=[started])))


def test_runs_from_mail_or_parked_records_count_too() -> None:
    cache = RunCache(cast("Log", None), size=10_000)
    for number in range(100):
        live = cache.fresh(f"delivered-{number}")
        live.learn(_opening(live.id))
        cache.count(live)
        state = RunState(id=f"parked-{number}", event=Raw(b'"%s"' % (b"y" * 1000)))
        cache.seed(state)
    assert _bytes(cache) <= 10_000
    assert cache.warm("parked-99") is not None
    assert cache.warm("delivered-0") is None


def test_runs_in_use_do_not_shield_the_others() -> None:
    cache = RunCache(cast("Log", None), size=20_000)
    busy = [cache.fresh(f"busy-{number}") for number in range(10)]
    for live in busy:
        live.users = 1
        live.learn(_opening(live.id))
        cache.count(live)
    for number in range(100):
        live = cache.fresh(f"parked-{number}")
        live.learn(_opening(live.id))
        cache.count(live)
    assert _bytes(cache) <= 20_000
    assert all(cache.warm(live.id) is live for live in busy)


async def test_failure_counts_of_messages_handled_elsewhere_are_evicted() -> None:
    class Failing:
        """A delivery that is handed back, and comes to another worker."""

        stream, subject, num_delivered = "EVENTS", "desk.opened", 1

        def __init__(self, seq: int) -> None:
            self.seq = seq

        async def nak(self, delay: float) -> None:
            del delay

    async def fails(delivery: Delivery) -> None:
        raise LaybyError(str(delivery.seq))

    policy: Any = DeliveryPolicy(cast("Any", None), cast("Any", None))
    policy._failures.size = 100
    with capture_logs():
        for seq in range(1_000):
            await policy.take("on-handle", cast("Delivery", Failing(seq)), fails)
    assert len(policy._failures) == 100


def _bytes(cache: Any) -> int:
    assert cache._bytes == sum(live.counted for live in cache._cached.values())
    return int(cache._bytes)
