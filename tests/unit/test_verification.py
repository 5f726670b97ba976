"""What an operator reads when a stream or consumer is not as Layby needs it, and where consumers
begin."""

from __future__ import annotations

from typing import Any

import pytest

from layby.bus.errors import BusError, PermissionDenied, TopologyMismatch
from layby.bus.mirroring import mirror_of
from layby.bus.names import Names
from layby.bus.ownership import being_restored, being_taken_over, mark
from layby.bus.specs import Begin, ConsumerSpec, StreamSpec, filters_in
from layby.bus.verification import (
    check_ready,
    ends_server,
    examine,
    is_own,
    left_behind,
    not_made,
    reads_other,
    taken,
)

NAMES = Names()
SPEC = StreamSpec(name="QUESTIONS", subjects=("a.question.*",), config={"allow_direct": True})
FINE: dict[str, Any] = {
    "subjects": ["a.question.*", "b.question.*"],
    "retention": "limits",
    "discard": "old",
    "allow_direct": True,
    "metadata": mark(NAMES),
}
CONSUMER = ConsumerSpec(stream="RUNS", name="desk", filter="to.desk")


def test_a_stream_with_more_subjects_and_other_sizes_can_be_used() -> None:
    examine(SPEC, FINE, NAMES)
    examine(SPEC, {**FINE, "max_bytes": 1, "max_age": 2}, NAMES)
    examine(SPEC, {**FINE, "subjects": []}, NAMES)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"retention": "interest"}, "has retention = 'interest', and Layby needs 'limits'"),
        ({"discard": "new"}, "has discard = 'new', and Layby needs 'old'"),
        ({"allow_msg_ttl": True}, "has allow_msg_ttl = True, and Layby needs False"),
        ({"allow_direct": False}, "nats stream edit QUESTIONS --allow-direct"),
        ({"subjects": ["x"], "metadata": {}}, "was not created by Layby"),
        ({"subjects": ["x"], "metadata": mark(Names("shop"))}, "was not created by Layby"),
    ],
)
def test_a_stream_with_which_promises_would_not_hold_is_refused(
    change: dict[str, Any], why: str
) -> None:
    with pytest.raises(TopologyMismatch, match=why):
        examine(SPEC, {**FINE, **change}, NAMES)


def test_a_setting_may_be_what_the_limits_of_a_new_stream_say() -> None:
    spec = StreamSpec(name="X", subjects=(), config={"discard": "old"}, limits={"discard": "new"})
    examine(spec, {**FINE, "discard": "new"}, NAMES)
    examine(spec, FINE, NAMES)


def test_a_stream_that_must_be_exact_holds_nothing_else() -> None:
    spec = StreamSpec(name="X", subjects=("a", "b"), exact=True)
    examine(spec, {**FINE, "subjects": ["b", "a"]}, NAMES)
    with pytest.raises(TopologyMismatch, match="holds a, c, and Layby needs it to hold a, b"):
        examine(spec, {**FINE, "subjects": ["a", "c"]}, NAMES)


def test_a_stream_without_a_mark_is_ours_only_if_no_app_has_a_prefix() -> None:
    earlier = {"subjects": ["b.question.*"], "allow_direct": True}
    assert is_own(SPEC, earlier, NAMES)
    assert not is_own(SPEC, earlier, Names("shop"))
    assert is_own(SPEC, {"metadata": mark(NAMES)}, NAMES)


@pytest.mark.parametrize(
    ("found", "how"),
    [
        (being_restored({}), "is being restored.*run `layby restore` to its end"),
        (being_taken_over({}, "$JS.hub.API"), "is being taken over.*`layby standby take-over`"),
        (mirror_of({"name": "RUNS"}, "$JS.hub.API", 1), "mirrors another cluster: if that is lost"),
    ],
)
def test_a_worker_does_not_start_in_a_stream_that_is_not_whole(
    found: dict[str, Any], how: str
) -> None:
    with pytest.raises(TopologyMismatch, match=how):
        check_ready("RUNS", found)


def test_a_worker_starts_in_any_other_stream() -> None:
    check_ready("RUNS", FINE)
    check_ready("RUNS", {"mirror": {"name": "OTHER"}})


def test_a_subject_that_another_stream_has_is_read_there_or_renamed() -> None:
    events = StreamSpec(name="EVENTS", subjects=("orders",))
    text = str(taken("orders", events, "SHOP", NAMES))
    assert 'stream="SHOP"' in text
    assert 'App(streams={"orders": "SHOP"})' in text
    other = str(taken("a.question.*", SPEC, "SHOP", NAMES))
    assert "QUESTIONS needs the subject 'a.question.*', which another stream has: SHOP" in other
    assert "App(prefix=...)" in other
    assert "layby accounts move STORE" in str(left_behind("AUDIT"))


def test_what_cannot_be_created_says_who_can_or_what_is_in_the_way() -> None:
    denied = not_made("stream RUNS", PermissionDenied("no", subject="$JS.API.STREAM.CREATE.RUNS"))
    assert isinstance(denied, PermissionDenied)
    assert denied.subject == "$JS.API.STREAM.CREATE.RUNS"
    assert "run `layby provision APP` as a user who may" in str(denied)
    overlap = not_made("stream RUNS", BusError("subjects overlap", code=10065))
    assert str(overlap).endswith("another stream has one of its subjects; rename one of the two")
    assert overlap.code == 10065
    full = not_made("stream RUNS", BusError("no space", code=10047))
    assert str(full) == "stream RUNS cannot be created: no space"
    assert isinstance(full, TopologyMismatch)


def test_a_consumer_that_reads_something_else_is_not_changed() -> None:
    found = {"filter_subjects": ["to.a", "to.b"]}
    ours = str(reads_other(CONSUMER, found, is_ours=True))
    assert "consumer 'desk' of stream RUNS reads 'to.a, to.b', not 'to.desk'" in ours
    assert "had a different `on` before" in ours
    assert "layby provision APP --prune" in ours
    others = str(reads_other(CONSUMER, found, is_ours=False))
    assert "two apps share a name" in others
    assert others.endswith("nats consumer rm RUNS desk")


def test_a_consumer_that_can_end_the_server_is_known() -> None:
    assert ends_server({"headers_only": True})
    assert not ends_server({"headers_only": False})
    assert not ends_server({})


# -- consumers --------------------------------------------------------------------------------


def test_a_consumer_reads_one_subject_or_several() -> None:
    assert CONSUMER.filter_config == {"filter_subject": "to.desk"}
    assert CONSUMER.create == "CONSUMER.CREATE.RUNS.desk.to.desk"
    several = ConsumerSpec(stream="RUNS", name="desk", filter="a", also=("b", "c"))
    assert several.filters == ("a", "b", "c")
    assert several.filter_config == {"filter_subjects": ("a", "b", "c")}
    assert several.create == "CONSUMER.CREATE.RUNS.desk"


@pytest.mark.parametrize("spec", [CONSUMER, ConsumerSpec(stream="R", name="d", filter="", also=())])
def test_what_a_consumer_reads_can_be_told_from_its_configuration(spec: ConsumerSpec) -> None:
    assert filters_in(spec.filter_config) == tuple(filter(None, spec.filters))


def test_a_consumer_of_others_may_read_all() -> None:
    assert filters_in({}) == ()
    assert filters_in({"filter_subjects": ["a", ""]}) == ("a",)


def test_in_a_takeover_consumers_begin_where_the_others_were() -> None:
    begin = Begin(sequences={"RUNS": 7, "AUDIT": 1}, times={"slow": "2026-11-30T12:00:00Z"})
    spec = {
        (stream, name): begin.first(ConsumerSpec(stream=stream, name=name, filter="x"))
        for stream in ("RUNS", "AUDIT", "DEAD")
        for name in ("fast", "slow")
    }
    assert spec["RUNS", "fast"] == {"deliver_policy": "by_start_sequence", "opt_start_seq": 7}
    assert spec["AUDIT", "fast"] == {"deliver_policy": "all"}
    assert spec["DEAD", "fast"] == {"deliver_policy": "all"}
    assert spec["RUNS", "slow"] == {
        "deliver_policy": "by_start_time",
        "opt_start_time": "2026-11-30T12:00:00Z",
    }
