"""Beats of workers: who is heard, who is lost, and what is no beat at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.views.workers import Workers

BEAT: dict[str, Any] = {
    "id": "ab12",
    "app": "desk",
    "host": "pod-0",
    "pid": 7,
    "fingerprint": "9c6106e",
    "started_at": "2026-01-01T00:00:00.000Z",
}


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def beat(**fields: Any) -> bytes:
    return json.dumps(BEAT | fields).encode()


def test_a_worker_that_is_silent_for_three_beats_is_lost_and_forgotten_later() -> None:
    clock = Clock()
    workers = Workers(clock)
    workers.hear(beat())
    clock.now += 6
    assert [row.lost for row in workers.rows()] == [False]
    clock.now += 1
    assert [row.lost for row in workers.rows()] == [True]
    workers.hear(beat(busy=3))
    assert [(row.lost, row.busy) for row in workers.rows()] == [(False, 3)]
    clock.now += 601
    assert workers.rows() == []


def test_a_worker_that_stops_is_not_lost() -> None:
    workers = Workers(Clock())
    workers.hear(beat())
    workers.hear(beat(stopping=True))
    assert workers.rows() == []


def test_those_that_run_come_first() -> None:
    clock = Clock()
    workers = Workers(clock)
    workers.hear(beat(id="a"))
    clock.now += 60
    workers.hear(beat(id="b"))
    assert [row.id for row in workers.rows()] == ["b", "a"]


def test_only_so_many_are_remembered() -> None:
    workers = Workers(Clock())
    for number in range(10_050):
        workers.hear(beat(id=f"w{number}"))
    workers.hear(beat(id="w1", busy=5))
    rows = workers.rows()
    assert len(rows) == 10_000
    assert next(row.busy for row in rows if row.id == "w1") == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "a.b"},
        {"id": ""},
        {"id": "a b"},
        {"started_at": "soon"},
        {"started_at": "2026-01-01"},
        {"host": "h" * 201},
        {"pid": "7"},
        {"app": None},
        {"version": "v" * 201},
        {"behind": 1e11},
        {"behind": "late"},
    ],
)
def test_a_beat_that_cannot_be_shown_is_passed_over(fields: dict[str, Any]) -> None:
    workers = Workers(Clock())
    workers.hear(beat(**fields))
    assert workers.rows() == []


def test_a_beat_may_say_its_release_and_how_wrong_its_clock_is() -> None:
    workers = Workers(Clock())
    workers.hear(beat(version="1.2.3", behind=-600.25))
    workers.hear(beat(id="older"))
    assert [(row.version, row.behind) for row in workers.rows()] == [("1.2.3", -600.25), ("", 0.0)]
    workers.hear(b'{"behind":1e999,' + beat(id="mad")[1:])
    assert len(workers.rows()) == 2


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda text: text.encode()))
def test_any_bytes_are_passed_over(data: bytes) -> None:
    workers = Workers(Clock())
    workers.hear(data)
    workers.hear(b"[" * 100_000)
    assert workers.rows() == []


def test_a_worker_is_found_by_its_name_in_logs_while_it_is_heard() -> None:
    workers = Workers()
    workers.hear(json.dumps({**BEAT, "writer": "8578c833"}).encode())
    workers.hear(json.dumps({**BEAT, "id": "older"}).encode())
    found = workers.of_writer("8578c833")
    assert found is not None
    assert (found.host, found.pid) == ("pod-0", 7)
    assert workers.of_writer("other") is None
    assert workers.of_writer("") is None
    workers.hear(json.dumps({**BEAT, "stopping": True}).encode())
    assert workers.of_writer("8578c833") is None
