"""The names of an app's streams, buckets and subjects, with a prefix and without."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby import App
from layby.bus.errors import InvalidSettings
from layby.bus.log_subject import count_of, parse, shares, subject
from layby.bus.names import OWN_WORDS, Names
from layby.runtime.errors import InvalidSetup

PREFIXES = st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True).filter(
    lambda prefix: prefix not in {*OWN_WORDS, "kv", "obj", "events"}
)


def test_without_a_prefix_every_name_is_what_it_was() -> None:
    names = Names()
    assert names.stream("RUNS") == "RUNS"
    assert names.bucket("parked") == "parked"
    assert names.bucket_stream("parked") == "KV_parked"
    assert names.subject("developer.response.T1") == "developer.response.T1"


def test_a_prefix_names_streams_buckets_and_subjects() -> None:
    names = Names("shop")
    assert names.stream("RUNS") == "SHOP_RUNS"
    assert names.bucket("parked") == "SHOP_parked"
    assert names.bucket_stream("parked") == "KV_SHOP_parked"
    assert names.subject("developer.response.T1") == "shop.developer.response.T1"


@given(PREFIXES, st.sampled_from(["to.*.human-legal.>", "legal.response.x.y", "due.1"]))
def test_a_subject_is_read_back(prefix: str, own: str) -> None:
    assert Names(prefix).own(Names(prefix).subject(own)) == own


@given(PREFIXES)
def test_a_log_is_read_under_any_prefix(prefix: str) -> None:
    names = Names(prefix)
    assert parse(names.subject(subject("agent-anna", "0run", 7))) == ("agent-anna", "0run", 7)
    held = [names.subject(each) for each in shares(4)["RUNS"]]
    assert count_of(held, names) == 4
    assert count_of(held) == 0


@pytest.mark.parametrize("prefix", ["Shop", "1shop", "a.b", "a b", ">", "to", "layby", "kv", "ä"])
def test_a_prefix_that_cannot_be_one_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidSettings, match="cannot be a prefix"):
        Names(prefix)
    with pytest.raises(InvalidSetup, match=r"app 'desk'.*cannot be a prefix"):
        App("desk", prefix=prefix)


def test_nothing_of_an_app_with_a_prefix_is_named_as_without() -> None:
    def named(prefix: str) -> set[str]:
        app = App("desk", prefix=prefix, roles=["developer"], events=["paid"])
        topology = app.topology()
        streams = {spec.name for spec in topology.streams}
        subjects = {subject for spec in topology.streams for subject in spec.subjects}
        return streams | subjects - {"paid"}

    assert not named("") & named("shop")
    assert not named("eu") & named("shop")
