"""What `layby doctor` makes of figures: limits, clocks, events that nobody read, mailboxes."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.names import Names
from layby.health.capacity import of_streams
from layby.health.safety import clocks
from layby.health.traffic import MailboxRow, StreamRow, Traffic
from layby.health.unread import finding, gap
from layby.runtime.clock import Skew


class Asked:
    """What is asked of a server about who filled a stream, and its reply."""

    def __init__(self, subjects: dict[str, int] | None = None, prefix: str = "") -> None:
        self.names = Names(prefix)
        self._subjects = subjects

    async def api(self, verb: str, body: Any) -> dict[str, Any]:
        assert re.fullmatch(r"STREAM\.INFO\.\w+", verb)
        assert body == {"subjects_filter": ">"}
        return {"state": {"subjects": self._subjects}}


def info(used: int, limit: int = 1_000_000, **config: Any) -> dict[str, Any]:
    return {"config": {"max_bytes": limit, **config}, "state": {"bytes": used}}


async def of(streams: dict[str, dict[str, Any]], asked: Asked | None = None) -> list[Any]:
    requests: Any = asked or Asked()
    return await of_streams(requests, streams)


@pytest.mark.parametrize(
    ("used", "config", "level", "says"),
    [
        (799_999, {}, "", ""),
        (800_000, {}, "warn", "80% of its 1.0 MB are used: then its oldest messages go"),
        (969_999, {"discard": "new"}, "warn", "97% of its 1.0 MB are used: then it refuses"),
        (970_000, {"discard": "new"}, "error", "it refuses what is sent, with an error to"),
        (1_000_000, {}, "warn", "100% of its 1.0 MB are used: then its oldest messages go"),
    ],
)
async def test_a_stream_that_fills_says_what_will_happen(
    used: int, config: dict[str, Any], level: str, says: str
) -> None:
    found = await of({"RUNS": info(used, **config)})
    assert [each.level for each in found] == ([level] if level else [])
    assert all(says in each.message and each.subject == "RUNS" for each in found)


async def test_a_flood_is_named_by_the_people_and_subjects_that_sent_most() -> None:
    subjects = {
        "shop.developer.response.T1.ada": 5,
        "shop.developer.response.T2.ada": 4,
        "shop.developer.claim.T2.bob": 3,
        "shop.developer.response.T3": 2,
        "a.response": 1,
    }
    asked = Asked(subjects, "shop")
    [found] = await of({"SHOP_ANSWERS": info(900_000)}, asked)
    assert "Most of it: 9 of ada, 3 of bob, 2 of nobody in particular. If" in found.advice
    [inside] = await of({"SHOP_RUNS": info(900_000)}, asked)
    assert "Most of it" not in inside.advice


async def test_what_outsiders_fill_must_have_a_limit() -> None:
    streams = {"EVENTS": info(1, -1), "ANSWERS": info(1), "RUNS": info(1, -1)}
    [found] = await of(streams)
    assert (found.level, found.subject) == ("warn", "limits")
    assert found.message.startswith("EVENTS without a byte limit")
    assert "provision APP --limits" in found.advice


@pytest.mark.parametrize(
    ("skew", "level", "says"),
    [
        (Skew(behind=0.5, unsure=0.0), "ok", "within a second"),
        (Skew(behind=12.4, unsure=0.1), "warn", "is 12 s behind the server's"),
        (Skew(behind=-1234.0, unsure=0.1), "warn", "is 1,234 s ahead of the server's"),
        (Skew(behind=1.5, unsure=1.0), "ok", "within a second"),
    ],
)
def test_a_clock_that_is_certainly_wrong_is_said(skew: Skew, level: str, says: str) -> None:
    [found] = clocks(skew)
    assert found.level == level
    assert says in found.message


def test_a_clock_that_could_not_be_compared_is_not_mentioned() -> None:
    assert clocks(None) == []


def at(*delivered: int) -> list[dict[str, Any]]:
    return [{"delivered": {"stream_seq": seq}} for seq in delivered]


@pytest.mark.parametrize(
    ("first", "delivered", "lost"),
    [
        (10, (4,), (5, 9)),
        (10, (4, 8), (9, 9)),
        (10, (9,), None),
        (10, (12,), None),
        (1, (0,), None),
        (10, (), None),
    ],
)
def test_events_are_lost_that_were_removed_before_anybody_was_given_them(
    first: int, delivered: tuple[int, ...], lost: tuple[int, int] | None
) -> None:
    assert gap({"first_seq": first}, at(*delivered)) == lost


@given(st.integers(1, 50), st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_what_is_lost_is_exactly_what_is_neither_there_nor_was_given(
    first: int, delivered: list[int]
) -> None:
    missed = [seq for seq in range(1, first) if seq > max(delivered)]
    found = gap({"first_seq": first}, at(*delivered))
    assert found == ((missed[0], missed[-1]) if missed else None)


def test_lost_events_are_counted_and_said_to_be_sent_again() -> None:
    found = finding("EVENTS", (5, 9))
    assert (found.level, found.subject) == ("error", "EVENTS")
    assert found.message == "5 events, 5 to 9, were removed before a worker had read them"
    assert found.advice.startswith("No worker ran for longer than events are kept")
    assert "nats stream edit EVENTS --max-age 90d" in found.advice


def stream(size: int, limit: int | None) -> StreamRow:
    return StreamRow(name="RUNS", messages=1, size=size, limit=limit)


@pytest.mark.parametrize(
    ("size", "limit", "full", "scarce"),
    [(69, 100, 0.69, False), (70, 100, 0.7, True), (70, None, None, False), (70, 0, None, False)],
)
def test_a_stream_is_scarce_from_seven_tenths_of_its_limit(
    size: int, limit: int | None, full: float | None, *, scarce: bool
) -> None:
    row = stream(size, limit)
    assert (row.full, row.is_scarce) == (full, scarce)


@pytest.mark.parametrize(
    ("fields", "idle", "stuck"),
    [
        ({}, True, False),
        ({"asking": 1}, True, False),
        ({"lag": 1}, False, True),
        ({"lag": 1, "asking": 1}, False, False),
        ({"lag": 1, "in_flight": 1}, False, False),
        ({"redelivered": 1}, False, False),
        ({"in_flight": 1}, False, False),
    ],
)
def test_a_mailbox_is_stuck_if_mail_waits_and_nobody_takes_it(
    fields: dict[str, int], *, idle: bool, stuck: bool
) -> None:
    row = msgspec.structs.replace(MailboxRow(name="m", stream="RUNS"), **fields)
    assert (row.is_idle, row.is_stuck) == (idle, stuck)


def test_traffic_knows_its_streams_by_name_and_all_that_waits() -> None:
    boxes = [MailboxRow(name=str(lag), stream="RUNS", lag=lag) for lag in (3, 4)]
    found = Traffic(streams=[stream(1, None)], mailboxes=boxes)
    assert found.lag == 7
    assert found.stream("RUNS") == stream(1, None)
    assert found.stream("EVENTS") is None
