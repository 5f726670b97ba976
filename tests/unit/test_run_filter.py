"""Which rows of the index a list of runs shows, in what words, and which run a ticket means."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.token import encode
from layby.bus.wire import Message
from layby.runtime.entry import Origin, Started
from layby.runtime.ids import run_id
from layby.runtime.index import IndexRow, key_of
from layby.runtime.spent import Spent
from layby.runtime.state import RunState
from layby.runtime.times import iso
from layby.views.listing import RunFilter, contains, row_at_start, row_in, run_row
from layby.views.lookup import newest_root

RUN = run_id("support", "1")
OTHER = run_id("support", "2")


def row(**fields: Any) -> IndexRow:
    about: dict[str, Any] = {
        "id": RUN,
        "workflow": "support",
        "ticket": "T-1",
        "status": "waiting",
        "started_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-02T00:00:00.000Z",
        "pos": 4,
        "roles": ("developer", "lead"),
        "labels": {"team": "north", "tier": "gold"},
    }
    return IndexRow(**{**about, **fields})


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (RunFilter(), True),
        (RunFilter(status="waiting"), True),
        (RunFilter(status="blocked"), False),
        (RunFilter(workflow="support"), True),
        (RunFilter(workflow="sup"), False),
        (RunFilter(ticket="T-1"), True),
        (RunFilter(ticket="T-11"), False),
        (RunFilter(role="developer"), True),
        (RunFilter(role="lead"), True),
        (RunFilter(role="dev"), False),
        (RunFilter(labels={"team": "north"}), True),
        (RunFilter(labels={"team": "north", "tier": "gold"}), True),
        (RunFilter(labels={"team": "north", "tier": "iron"}), False),
        (RunFilter(labels={"team": "north", "city": "Oslo"}), False),
        (RunFilter(status="waiting", workflow="billing"), False),
        (RunFilter(status="blocked", workflow="support"), False),
    ],
)
def test_a_list_shows_the_runs_that_match_every_given_field(
    wanted: RunFilter, *, shown: bool
) -> None:
    assert wanted.takes(row()) is shown


@pytest.mark.parametrize("field", ["ticket", "title", "workflow", "question", "error"])
def test_a_text_is_looked_for_wherever_people_read_it_in_any_case(field: str) -> None:
    found = row(**{field: "Refund for STRASSE 5"})
    assert RunFilter(text="refund").takes(found)
    assert RunFilter(text="straße").takes(found)
    assert not RunFilter(text="invoice").takes(found)


def test_a_text_is_not_looked_for_in_what_people_do_not_read() -> None:
    assert not RunFilter(text="gold").takes(row())
    assert not RunFilter(text=RUN).takes(row())


def test_an_empty_text_is_in_every_run() -> None:
    assert RunFilter(text="").takes(row())


def test_a_run_that_changed_before_the_time_asked_for_is_left_out() -> None:
    now = time.time()
    recent = row(updated_at=iso(now - 30))
    assert RunFilter(since=600).takes(recent)
    assert not RunFilter(since=10).takes(recent)


@given(st.text(), st.lists(st.text(), max_size=4), st.integers(0, 4))
def test_a_text_is_found_in_whichever_place_holds_it(text: str, places: list[str], at: int) -> None:
    places.insert(min(at, len(places)), f"a{text.upper()}b")
    assert contains(text.upper(), *places)


def test_a_text_that_ends_in_one_place_and_begins_in_the_next_is_not_found() -> None:
    assert not contains("ab", "a", "b")


def test_a_ticket_means_the_newest_run_that_no_other_started() -> None:
    old = row(id="0a", started_at="2026-01-01T00:00:00.000Z")
    new = row(id="0b", started_at="2026-01-03T00:00:00.000Z")
    child = row(id="0c", started_at="2026-01-04T00:00:00.000Z", parent="0b")
    for rows in ([old, new, child], [child, new, old], [new, child, old]):
        assert newest_root(rows) is new


def test_a_ticket_that_has_only_started_runs_means_the_newest_of_these() -> None:
    old = row(id="0a", started_at="2026-01-01T00:00:00.000Z", parent="1")
    new = row(id="0b", started_at="2026-01-03T00:00:00.000Z", parent="1")
    assert newest_root([new, old]) is new


def test_what_a_row_does_not_say_is_null_in_the_list_and_not_an_empty_text() -> None:
    shown = run_row(row())
    absent = (shown.parent, shown.until, shown.asked_at, shown.deadline, shown.ended_at)
    assert absent == (None,) * 5


def test_what_a_row_says_is_in_the_list_under_its_name() -> None:
    day = "2026-02-0{}T00:00:00.000Z".format
    told: dict[str, Any] = {
        "parent": "0f",
        "needs": "a key",
        "question": "May it?",
        "waits": "developer",
        "until": day(1),
        "asked_at": day(2),
        "deadline": day(3),
        "ended_at": day(4),
        "title": "Refund",
        "trace": "abc",
    }
    spent = Spent(input_tokens=3, output_tokens=4, cost=0.5)
    shown = run_row(row(**told, error="no key", spent=spent))
    assert {name: getattr(shown, name) for name in told} == told
    assert shown.reason == "no key"
    assert shown.roles == ["developer", "lead"]
    assert (shown.input_tokens, shown.output_tokens, shown.cost) == (3, 4, 0.5)


def test_a_run_that_has_done_nothing_yet_is_shown_from_its_first_entry() -> None:
    state = RunState(id=RUN, workflow="support", ticket="T-1")
    state.started_at = state.updated_at = 1_767_225_600.5
    parent = Origin(run="0a", frame="w", key="k")
    for given_, shown in ((parent, "0a"), (None, "")):
        started = Started(
            workflow="support",
            actor="workflow.support",
            version="1",
            event=msgspec.Raw(b"{}"),
            ticket="T-1",
            on="tickets.new",
            seq=1,
            title="Refund",
            labels={"team": "north"},
            parent=given_,
        )
        found = row_at_start(state, started, "abc")
        assert (found.id, found.workflow, found.ticket) == (RUN, "support", "T-1")
        assert found.started_at == found.updated_at == "2026-01-01T00:00:00.500Z"
        assert (found.pos, found.title, found.labels) == (1, "Refund", {"team": "north"})
        assert (found.parent, found.trace) == (shown, "abc")


def stored(data: bytes, key: str) -> Message:
    head = f"NATS/1.0\r\nNats-Subject: $KV.runs.{key}\r\n\r\n"
    return Message(b"inbox", b"", data, head.encode())


def test_a_row_is_read_from_the_key_of_its_run() -> None:
    kept = row()
    assert row_in(stored(msgspec.json.encode(kept), key_of(kept.ticket, kept.id))) == kept


@pytest.mark.parametrize(
    "key",
    [f"{encode('T-2')}.{RUN}", f"{encode('T-1')}.{OTHER}", f"{RUN}.{encode('T-1')}"],
    ids=["of another ticket", "of another run", "turned round"],
)
def test_a_row_on_the_key_of_another_run_is_passed_over(key: str) -> None:
    assert row_in(stored(msgspec.json.encode(row()), key)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        b"[1]",
        msgspec.json.encode({**msgspec.to_builtins(row()), "ticket": ""}),
        msgspec.json.encode({**msgspec.to_builtins(row()), "updated_at": "2026-01-01T00:00:00"}),
    ],
)
def test_what_is_no_row_hides_no_other(data: bytes) -> None:
    assert row_in(stored(data, key_of("T-1", RUN))) is None


def test_a_row_whose_id_is_no_id_of_a_run_is_passed_over() -> None:
    odd = row(id="mine")
    assert row_in(stored(msgspec.json.encode(odd), key_of("T-1", "mine"))) is None
