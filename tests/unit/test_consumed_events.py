"""Which events a run has consumed, and what else a log keeps besides results."""

from __future__ import annotations

import msgspec
import pytest

from layby.runtime.conflicts import conflicts
from layby.runtime.entry import (
    ROOT,
    Addressed,
    Arrived,
    Awaited,
    Called,
    Cancelled,
    Ended,
    Failed,
    Joined,
    Raw,
    Returned,
    Slept,
    Spawned,
    Stepped,
    Withdrawn,
)
from layby.runtime.envelope import Envelope
from layby.runtime.journal import fold, skip
from layby.runtime.spent import Spent
from layby.runtime.state import FORM_WITH_ONLY, RunState
from tests.unit.test_journal import BAD, STARTED, History, asked, called, stepped

CHILD = f"{ROOT}/team"


def awaited(key: str, subject: str = "paid") -> Awaited:
    return Awaited(frame=ROOT, key=key, subject=subject)


def arrived(key: str, seq: int) -> Arrived:
    return Arrived(frame=ROOT, key=key, event=Raw(b"{}"), seq=seq)


def begun(seq: int, on: str) -> RunState:
    """A run that an event began."""
    state = RunState(id="run")
    record = msgspec.structs.replace(STARTED, seq=seq, on=on)
    fold(state, 1, Envelope(op="1", at=1.0, records=[record]))
    return state


# -- events -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seq", "on", "consumed"), [(7, "paid", {"paid": [7]}), (0, "paid", {}), (7, "", {})]
)
def test_the_event_that_began_a_run_is_consumed(
    seq: int, on: str, consumed: dict[str, list[int]]
) -> None:
    assert begun(seq, on).consumed == consumed


def test_an_event_is_not_given_to_a_wait_that_began_after_it_was_consumed() -> None:
    history = History(awaited("first"), awaited("beside"))
    assert not conflicts(history.state, arrived("first", 5))
    history.add(arrived("first", 5))
    assert not conflicts(history.state, arrived("beside", 5)), "both waited for it"
    history.add(arrived("beside", 5))
    assert history.state.consumed == {"paid": [5]}
    history.add(awaited("second"))
    assert conflicts(history.state, arrived("second", 5))
    assert not conflicts(history.state, arrived("second", 6))
    history.add(arrived("second", 6))
    assert history.state.consumed == {"paid": [5, 6]}
    assert history.slot("second").wake_at == 0.0


def test_events_of_other_subjects_are_counted_apart() -> None:
    history = History(awaited("a"), arrived("a", 5), awaited("b", "shipped"))
    assert not conflicts(history.state, arrived("b", 5))
    history.add(arrived("b", 5))
    assert history.state.consumed == {"paid": [5], "shipped": [5]}


def test_an_event_without_a_known_sequence_is_not_remembered() -> None:
    history = History(awaited("a"), arrived("a", 0), awaited("b"))
    assert history.state.consumed == {"paid": []}
    assert not conflicts(history.state, arrived("b", 0))


def test_an_event_does_not_arrive_at_what_is_no_wait() -> None:
    history = History(Slept(frame=ROOT, key="nap", until=9.0))
    assert conflicts(history.state, arrived("nap", 5))
    history.add(arrived("nap", 5))
    assert not history.slot("nap").settled


# -- what is written twice --------------------------------------------------------------------


def test_a_wait_that_is_recorded_twice_stays_what_it_was() -> None:
    history = History(
        awaited("e"),
        Spawned(frame=ROOT, key="c", run="r1", workflow="v", event=Raw(b"{}")),
        called(),
    )
    history.add(awaited("e", "other"))
    history.add(Spawned(frame=ROOT, key="c", run="r2", workflow="v", event=Raw(b"{}")))
    history.add(Called(frame=ROOT, key="team", child="other", actor="x"))
    assert [history.slot(key).ref for key in ("e", "c", "team")] == ["paid", "r1", CHILD]
    assert history.state.waits == 2
    assert "other" not in history.state.frames


def test_a_record_for_a_key_of_another_kind_changes_nothing() -> None:
    history = History(stepped("x"), Slept(frame=ROOT, key="nap", until=9.0))
    before = msgspec.json.encode(history.state.frames)
    for record in (
        awaited("x"),
        called("x"),
        Spawned(frame=ROOT, key="x", run="r", workflow="v", event=Raw(b"{}")),
        asked(key="x"),
        stepped("nap"),
        Failed(frame=ROOT, key="nap", error=BAD, retry_at=9.0),
    ):
        assert conflicts(history.state, record)
        history.add(record)
    assert msgspec.json.encode(history.state.frames) == before


def test_a_wait_that_is_withdrawn_wakes_nobody_later() -> None:
    history = History(Slept(frame=ROOT, key="nap", until=9.0), awaited("e"))
    for key in ("nap", "e"):
        history.add(Withdrawn(frame=ROOT, key=key))
        assert (history.slot(key).wake_at, history.slot(key).dropped) == (0.0, True)
    assert history.state.waits == 0
    assert conflicts(history.state, arrived("e", 5))


def test_a_frame_that_returned_keeps_nothing_but_a_failed_one_its_steps() -> None:
    inner = Stepped(frame=CHILD, key="model#0", result=Raw(b"1"))
    fine = History(called(), inner, Returned(frame=CHILD, result=Raw(b"2")))
    assert fine.state.frames[CHILD].slots == {}
    failed = History(called(), inner, Returned(frame=CHILD, error=BAD, steps=["model#0"]))
    assert set(failed.state.frames[CHILD].slots) == {"model#0"}
    assert failed.state.frames[CHILD].steps == ["model#0"]


def test_a_result_for_a_call_that_was_withdrawn_is_not_taken() -> None:
    history = History(called(), Withdrawn(frame=ROOT, key="team"))
    n = history.slot("team").settled
    history.add(Returned(frame=CHILD, result=Raw(b"2")))
    assert (history.slot("team").settled, history.slot("team").dropped) == (n, True)


# -- what else it keeps -----------------------------------------------------------------------


def test_what_models_used_is_added_up_even_if_the_step_was_recorded_before() -> None:
    used = Spent(input_tokens=3, output_tokens=1)
    history = History(stepped(spent=used), stepped("t", spent=used), stepped("t", spent=used))
    assert history.state.spent == Spent(input_tokens=9, output_tokens=3)


def test_a_step_knows_its_place_in_its_message() -> None:
    history = History()
    history.add(stepped("a"), stepped("b"), stepped("c"))
    assert [history.slot(key).place for key in "abc"] == [0, 1, 2]


def test_a_run_keeps_why_it_ended() -> None:
    ended = Ended(status="failed", error="down", failure=BAD)
    assert History(ended).state.failure == BAD
    cancelled = History(Cancelled(reason="stop", parent="p")).state
    assert (cancelled.status, cancelled.error) == ("cancelled", "stop")
    assert History(Cancelled()).state.error == "cancelled"


def test_a_question_for_one_person_is_of_a_form_that_earlier_releases_fold_again() -> None:
    record = Addressed(
        frame=ROOT, key="ask", id="q1", role="developer", question="?", deadline=9.0, only="ada"
    )
    state = History(record).state
    assert (state.form, state.questions["q1"].only, state.waits) == (FORM_WITH_ONLY, "ada", 1)


def test_a_child_run_is_joined_once() -> None:
    history = History(Spawned(frame=ROOT, key="c", run="r", workflow="v", event=Raw(b"{}")))
    n = history.add(Joined(frame=ROOT, key="c", result=Raw(b"1")))
    history.add(Joined(frame=ROOT, key="c", error=BAD))
    assert (history.slot("c").settled, history.slot("c").error, history.state.waits) == (n, None, 0)


# -- positions that cannot be read ------------------------------------------------------------


def test_the_first_position_that_a_later_release_wrote_is_noted() -> None:
    history = History()
    skip(history.state, 2, newer=False)
    skip(history.state, 3, newer=True)
    skip(history.state, 4, newer=True)
    assert (history.state.tail, history.state.newer) == (4, 3)
    for n in (4, 6):
        with pytest.raises(ValueError, match=f"position {n} cannot follow 4"):
            skip(history.state, n, newer=False)
