"""Whose a stream is: what Layby marks as its own, and what it does not touch."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.bus.errors import TopologyMismatch
from layby.bus.mirroring import can_be_mirrored, is_mirror, mirror_of, promoted
from layby.bus.names import Names
from layby.bus.ownership import (
    being_restored,
    being_taken_over,
    check_source,
    consumer_mark,
    covers,
    is_anothers,
    is_being_restored,
    is_marked,
    is_of_app,
    mark,
    not_created_by_layby,
    note,
    noted,
    noted_for,
    restored,
    restored_of,
    taken_over_from,
    to_be_replaced,
    was_made_before,
    without_server,
)
from layby.bus.specs import SourceSpec, StreamSpec
from tests.examples import examples

PLAIN, SHOP = Names(), Names("shop")


def of(metadata: dict[str, str] | None) -> dict[str, Any]:
    return {"name": "RUNS", "metadata": metadata}


# -- marks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "names", "ours", "anothers"),
    [
        (of(mark(PLAIN)), PLAIN, True, False),
        (of(mark(SHOP)), SHOP, True, False),
        (of(mark(SHOP)), PLAIN, False, True),
        (of(mark(PLAIN)), SHOP, False, True),
        (of({"owner": "ada"}), PLAIN, False, False),
        (of(None), PLAIN, False, False),
        ({}, SHOP, False, False),
    ],
)
def test_a_mark_says_which_app_made_a_stream(
    found: dict[str, Any], names: Names, *, ours: bool, anothers: bool
) -> None:
    assert (is_marked(found, names), is_anothers(found, names)) == (ours, anothers)


def test_a_consumer_is_of_the_app_that_it_names() -> None:
    found = of(consumer_mark(SHOP, "desk"))
    assert is_of_app(found, SHOP, "desk")
    assert not is_of_app(found, SHOP, "other")
    assert not is_of_app(found, PLAIN, "desk")
    assert not is_of_app(found, SHOP, "")
    older = of(consumer_mark(SHOP, ""))
    assert is_marked(older, SHOP)
    assert not is_of_app(older, SHOP, "desk")


def test_a_stream_notes_which_subjects_each_app_has_declared() -> None:
    found = of({**note("desk", ["a.b", "c", "a.b"]), **note("the #1", ["d"]), "owner": "ada"})
    assert noted_for(found, "desk") == ["a.b", "c"]
    assert noted_for(found, "the #1") == ["d"]
    assert noted_for(found, "other") == []
    assert noted_for(found, "") == []
    assert sorted(noted(found).values()) == [["a.b", "c"], ["d"]]
    assert note("", ["a"]) == {}
    assert noted({}) == {}


def test_what_the_server_adds_is_not_taken_along() -> None:
    assert without_server({"_nats.ver": "2.12", "layby": "1"}) == {"layby": "1"}
    assert without_server(None) == {}


# -- restoring and taking over ------------------------------------------------------------------


def test_workers_stay_away_from_a_stream_until_all_of_its_backup_is_there() -> None:
    config = of(mark(PLAIN))
    marked = being_restored(config)
    assert (is_being_restored(config), is_being_restored(marked)) == (False, True)
    assert restored_of(being_restored(config, "backup-7")) == "backup-7"
    assert restored_of(config) == ""
    assert restored(marked) == config
    assert is_marked(marked, PLAIN), "it is still ours"


def test_a_stream_that_makes_room_was_restored_from_nothing() -> None:
    marked = to_be_replaced(of(None))
    assert is_being_restored(marked)
    assert restored_of(marked) == ""
    assert taken_over_from(marked) == ""


def test_a_takeover_is_not_a_restoration() -> None:
    marked = being_taken_over(of(mark(PLAIN)), "$JS.hub.API")
    assert taken_over_from(marked) == "$JS.hub.API"
    assert not is_being_restored(marked)
    assert restored_of(marked) == ""
    assert restored(marked) == of(mark(PLAIN))


# -- mirrors ----------------------------------------------------------------------------------

SOURCE: dict[str, Any] = {
    "name": "RUNS",
    "subjects": ["to.>"],
    "storage": "file",
    "max_age": 7,
    "allow_direct": True,
    "num_replicas": 3,
    "metadata": {**mark(SHOP), "_nats.ver": "2.12"},
}


def test_a_mirror_can_become_the_stream_that_it_mirrors() -> None:
    mirror = mirror_of(SOURCE, "$JS.hub.API", 1)
    assert is_mirror(mirror)
    assert "subjects" not in mirror
    assert (mirror["storage"], mirror["max_age"], mirror["num_replicas"]) == ("file", 7, 1)
    assert mirror["mirror_direct"] is True
    stream = promoted(mirror)
    assert taken_over_from(stream) == "$JS.hub.API"
    assert restored(stream) == {
        **SOURCE,
        "num_replicas": 1,
        "metadata": mark(SHOP),
    }
    assert not is_mirror(stream)


@pytest.mark.parametrize("metadata", [{}, {"layby.source": "{"}, {"layby.source": "[1]"}])
def test_a_mirror_of_somebody_else_is_not_promoted(metadata: dict[str, str]) -> None:
    config = {**mirror_of(SOURCE, "$JS.hub.API", 1), "metadata": metadata}
    with pytest.raises(TopologyMismatch, match=r"RUNS does not note.*`layby standby follow`"):
        promoted(config)


def test_a_stream_that_removes_what_was_read_cannot_be_mirrored() -> None:
    assert can_be_mirrored({})
    assert can_be_mirrored({"retention": "limits"})
    assert not can_be_mirrored({"retention": "workqueue"})
    assert not is_mirror({"mirror": {"name": "RUNS"}, "metadata": None})


# -- streams of others ------------------------------------------------------------------------

SPEC = StreamSpec(
    name="QUESTIONS",
    subjects=("developer.question.*", "developer.receipt.*"),
    config={"allow_direct": True},
)
MADE: dict[str, Any] = {
    "subjects": ["legal.question.*"],
    "allow_direct": True,
    "retention": "limits",
    "storage": "file",
    "compression": "s2",
}


def test_a_stream_of_a_release_that_left_no_mark_is_known_by_its_settings() -> None:
    assert was_made_before(SPEC, MADE)
    assert was_made_before(SPEC, {**MADE, "max_age": 9, "max_bytes": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"layby": "1"}},
        {"subjects": ["legal.question.>"]},
        {"subjects": ["orders"]},
        {"allow_direct": False},
        {"deny_delete": True},
        {"retention": "interest"},
        {"storage": "memory"},
        {"compression": "none"},
        {"discard": "new"},
    ],
)
def test_a_stream_with_other_settings_was_not_made_by_us(change: dict[str, Any]) -> None:
    assert not was_made_before(SPEC, {**MADE, **change})


def test_a_stranger_is_left_alone_and_the_ways_out_are_named() -> None:
    text = str(not_created_by_layby("RUNS", {"subjects": ["a", "b"]}))
    assert "stream RUNS (a, b) was not created by Layby, so it is not changed" in text
    assert "App(prefix=...)" in text
    assert 'stream="RUNS"' in text
    assert "nats stream edit RUNS --metadata layby=1" in text
    assert "(nothing)" in str(not_created_by_layby("RUNS", {}))


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"retention": "workqueue"}, "workqueue retention, which removes events once they are re"),
        ({"subjects": ["payments.*"]}, "keeps no events on 'orders.new': it holds payments.*"),
        ({"subjects": None}, "it holds no subjects of its own"),
        (
            {"subjects": ["orders.>"]},
            "does not allow direct get, which Layby reads with: nats stream edit SHOP --allow-dir",
        ),
    ],
)
def test_a_source_that_would_lose_events_is_refused(found: dict[str, Any], why: str) -> None:
    spec = SourceSpec(stream="SHOP", subject="orders.new", awaited=True)
    with pytest.raises(TopologyMismatch, match=why):
        check_source(spec, found)


def test_a_source_that_has_the_events_is_taken() -> None:
    check_source(SourceSpec(stream="SHOP", subject="orders.new"), {"subjects": ["x", "orders.>"]})
    found = {"subjects": ["orders.*"], "allow_direct": True, "retention": "limits"}
    check_source(SourceSpec(stream="SHOP", subject="orders.new", awaited=True), found)


# -- subjects ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "subject", "does"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("*.b", "a.b", True),
        ("a.b.c", "a.b", False),
        ("a", "a.b", False),
        ("a.*", "a.*", True),
        ("a.b", "a.*", False),
    ],
)
def test_a_pattern_covers_what_the_server_says(pattern: str, subject: str, *, does: bool) -> None:
    assert covers(pattern, subject) is does


WORDS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4)


def _matches(pattern: str, subject: str) -> bool:
    """By sets: every subject of two letters that `subject` has, `pattern` has too."""
    import re  # noqa: PLC0415

    def as_re(text: str) -> str:
        return "".join({"*": "[a-z]+", ".": r"\."}.get(char, char) for char in text)

    concrete = [subject.replace("*", letter) for letter in "abz"]
    return all(re.fullmatch(as_re(pattern), each) for each in concrete)


@settings(deadline=None, database=None, max_examples=examples(200))
@given(WORDS, WORDS)
def test_what_covers_a_subject_covers_all_that_it_stands_for(
    pattern: list[str], subject: list[str]
) -> None:
    one, other = ".".join(pattern), ".".join(subject)
    assert covers(one, other) == _matches(one, other)
