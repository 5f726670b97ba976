"""Which stream holds a run's log."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.errors import BusError
from layby.bus.log_subject import (
    COUNTS,
    count_of,
    parse,
    partition,
    position,
    shares,
    stream_of,
    subject,
)
from layby.runtime.ids import run_id

ids = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=200)


@pytest.mark.parametrize("count", COUNTS)
def test_every_partition_has_one_stream(count: int) -> None:
    found = shares(count)
    assert len(found) == count
    if count == 1:
        assert found == {"RUNS": ("to.>",)}
        return
    subjects = [subject for held in found.values() for subject in held]
    assert subjects == [f"to.{digit}.>" for digit in "0123456789abcdef"]
    assert len({len(held) for held in found.values()}) == 1


def test_a_name_tells_where_the_share_begins() -> None:
    assert list(shares(2)) == ["RUNS", "RUNS_8"]
    assert list(shares(4)) == ["RUNS", "RUNS_4", "RUNS_8", "RUNS_c"]
    assert shares(4)["RUNS_c"] == ("to.c.>", "to.d.>", "to.e.>", "to.f.>")


@pytest.mark.parametrize("count", COUNTS[1:])
@given(run=ids)
def test_a_run_is_looked_for_where_its_entries_are(count: int, run: str) -> None:
    held = shares(count)[stream_of(run, count)]
    partitions = {wanted.split(".")[1] for wanted in held}
    assert subject("workflow-w", run, 1).split(".")[1] in partitions


@given(run=ids)
def test_one_stream_has_all_runs(run: str) -> None:
    assert stream_of(run, 1) == "RUNS"


@given(run=ids)
def test_the_fence_covers_a_position_whatever_its_addressee(run: str) -> None:
    for actor in ("workflow-w", "log"):
        words = subject(actor, run, 7).split(".")
        words[2] = "*"
        assert ".".join(words) == position(run, 7)


def test_the_partition_is_the_first_digit_of_a_runs_id() -> None:
    found = {run_id("w", str(number)) for number in range(200)}
    assert all(partition(run) == run[0] for run in found)
    assert {partition(run) for run in found} == set("0123456789abcdef")


@pytest.mark.parametrize(("run", "digit"), [("run", "0"), ("Ada", "8"), ("-", "8")])
def test_the_partition_of_another_id_is_fixed(run: str, digit: str) -> None:
    """Logs are found by it for as long as they are kept."""
    assert partition(run) == digit


def test_the_first_stream_tells_how_many_there_are() -> None:
    assert [count_of(shares(count)["RUNS"]) for count in COUNTS] == list(COUNTS)
    assert count_of(["to.1.>", "to.0.>", "to.3.>", "to.2.>"]) == 4
    assert [count_of(held) for held in ([], ["to.0.>", "x"], ["runs.>"])] == [0, 0, 0]


@given(run=ids)
def test_an_entry_outside_of_its_partition_is_none(run: str) -> None:
    """It would be outside of the fence."""
    other = "0" if partition(run) != "0" else "1"
    with pytest.raises(BusError, match="is not in the partition of run"):
        parse(f"to.{other}.workflow-w.{run}.1")
