"""What the exporter shows of the streams: fresh figures, no names from outside, and no old calm."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from prometheus_client import generate_latest

from layby.bus.errors import BusError
from layby.health.traffic import MailboxRow, StreamRow
from layby.metrics.monitor import new_registry
from layby.metrics.reading import Reading, _questions, _releases, _runs, _some
from layby.metrics.streams import Streams
from layby.views.workers import WorkerRow
from tests.scraping import Scrape


def reading(**fields: Any) -> Reading:
    known: dict[str, Any] = {
        "at": time.time(),
        "runs": {("pay", "waiting"): 3},
        "questions": {"lead": (2, 50.0), "developer": (0, 0.0)},
        "mailboxes": (MailboxRow(name="m", stream="RUNS", lag=4, in_flight=5, redelivered=6),),
        "streams": (
            StreamRow(name="RUNS", messages=7, size=8, limit=9),
            StreamRow(name="DEAD", messages=1, size=2),
        ),
        "dead": 10,
        "running": 11,
        "lost": 12,
        "releases": Counter({"desk": 2}),
        "unresumed": 13,
    }
    return Reading(**{**known, **fields})


class Reader:
    """Gives out what it was told to, or raises it."""

    def __init__(self, *found: Reading | Exception) -> None:
        self._found = list(found)

    async def read(self) -> Reading:
        found = self._found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


async def shown(*found: Reading | Exception) -> tuple[Scrape, Streams]:
    reader: Any = Reader(*found)
    streams = Streams(reader)
    for _ in found:
        await streams.refresh()
    registry = new_registry()
    registry.register(streams)
    return Scrape(generate_latest(registry).decode()), streams


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("streams_up", {}, 1.0),
        ("runs", {"workflow": "pay", "status": "waiting"}, 3.0),
        ("question_open", {"role": "lead"}, 2.0),
        ("question_open", {"role": "developer"}, 0.0),
        ("question_oldest_timestamp_seconds", {"role": "lead"}, 50.0),
        ("question_oldest_timestamp_seconds", {"role": "developer"}, None),
        ("mailbox_pending", {"stream": "RUNS", "mailbox": "m"}, 4.0),
        ("mailbox_in_flight", {"stream": "RUNS", "mailbox": "m"}, 5.0),
        ("mailbox_redelivered", {"stream": "RUNS", "mailbox": "m"}, 6.0),
        ("stream_messages", {"stream": "RUNS"}, 7.0),
        ("stream_bytes", {"stream": "DEAD"}, 2.0),
        ("limit", {"kind": "stream", "name": "RUNS"}, 9.0),
        ("limit_used", {"kind": "stream", "name": "RUNS"}, 8.0),
        ("limit", {"kind": "stream", "name": "DEAD"}, None),
        ("dead_letters", {}, 10.0),
        ("workers", {"state": "running"}, 11.0),
        ("workers", {"state": "lost"}, 12.0),
        ("releases", {"app": "desk"}, 2.0),
        ("answered_not_resumed", {}, 13.0),
    ],
)
async def test_each_figure_of_a_reading_is_shown(
    name: str, labels: dict[str, str], value: float | None
) -> None:
    scrape, _ = await shown(reading())
    assert scrape.value(f"layby_{name}", **labels) == value


async def test_before_the_first_reading_there_is_nothing_but_that_it_is_down() -> None:
    scrape, streams = await shown()
    assert scrape.value("layby_streams_up") == 0.0
    assert scrape.value("layby_streams_read_timestamp_seconds") is None
    assert streams.trouble == "the streams have not been read yet"


async def test_old_figures_are_not_shown_as_if_they_were_new() -> None:
    at = time.time() - 31
    scrape, _ = await shown(reading(at=at))
    assert scrape.value("layby_streams_up") == 0.0
    assert scrape.value("layby_dead_letters") is None
    assert scrape.value("layby_streams_read_timestamp_seconds") == pytest.approx(at)


async def test_a_reading_that_fails_says_why_and_the_last_one_stays_while_it_is_fresh() -> None:
    scrape, streams = await shown(reading(), BusError("no permission"))
    assert streams.trouble == "no permission"
    assert scrape.value("layby_streams_up") == 0.0
    assert scrape.value("layby_dead_letters") == 10.0
    scrape, streams = await shown(BusError("no permission"), reading())
    assert (streams.trouble, scrape.value("layby_streams_up")) == ("", 1.0)


async def test_a_server_that_takes_long_is_said() -> None:
    _, streams = await shown(TimeoutError())
    assert streams.trouble == "NATS takes long to answer"


def test_runs_of_workflows_that_nobody_declares_are_added_up_as_others() -> None:
    counts = {("pay", "failed"): 1, ("evil", "failed"): 2, ("worse", "failed"): 3}
    found = _runs(counts, frozenset({"pay"}))
    assert found == {("pay", "failed"): 1, ("other", "failed"): 5}


def test_every_declared_role_is_shown_and_the_oldest_question_of_others_counts() -> None:
    roles = frozenset({"lead", "developer"})
    counts = {"lead": (2, 50.0), "evil": (1, 70.0), "worse": (4, 60.0)}
    assert _questions(counts, roles) == {
        "lead": (2, 50.0),
        "developer": (0, 0.0),
        "other": (5, 60.0),
    }


def test_releases_are_counted_and_not_workers() -> None:
    def worker(app: str, fingerprint: str, pid: int) -> WorkerRow:
        return WorkerRow(
            id=str(pid),
            app=app,
            host="pod",
            pid=pid,
            fingerprint=fingerprint,
            started_at="",
            heard_at="",
            lost=False,
        )

    rows = [worker("desk", "a", 1), worker("desk", "a", 2), worker("desk", "b", 3)]
    rows.append(worker("evil", "a", 4))
    assert _releases(rows, frozenset({"desk"})) == {"desk": 2, "other": 1}


def test_so_many_names_become_labels_and_no_more() -> None:
    assert len(_some(str(n) for n in range(501))) == 500
    assert _some(["b", "a", "b"]) == {"a", "b"}
