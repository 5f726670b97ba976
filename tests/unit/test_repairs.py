"""The fold of repairs: blocked mails, reopened runs, failures that are retried."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.runtime.conflicts import conflicts
from layby.runtime.entry import (
    ROOT,
    Answered,
    Blocked,
    Ended,
    Expired,
    Raw,
    Record,
    Reopened,
    Resumed,
    Retried,
    Returned,
    Spawned,
    Stepped,
    Unblocked,
)
from layby.runtime.entry import Joined as JoinedRecord
from layby.runtime.envelope import decode, encode
from layby.runtime.journal import fold
from layby.runtime.repairs import expected, is_stale
from layby.runtime.state import RunState
from tests.unit.test_journal import (
    BAD,
    History,
    admitted,
    asked,
    called,
    calmly,
    records_st,
    stepped,
    waiting_for,
)

CHILD = f"{ROOT}/team"
FAILED = Ended(status="failed", error="down")


def blocked(cause: int = 1, fingerprint: str = "A", **more: str) -> Blocked:
    about = {"frame": ROOT, "kind": "key", "reason": "no key", "needs": "set one", **more}
    return Blocked(cause=cause, fingerprint=fingerprint, **about)


def reopened(**more: str) -> Reopened:
    return Reopened(by="ada", **more)


# -- blocked -----------------------------------------------------------------------------------


def test_a_blocked_run_has_not_ended_and_its_questions_stay_open() -> None:
    history = History(asked(), blocked())
    assert (history.state.status, history.state.ended) == ("blocked", False)
    [(cause, block)] = history.state.blocked
    assert (cause, block.reason, block.needs, block.tried) == (1, "no key", "set one", ["A"])
    assert [question.id for question in history.state.open_questions()] == ["q1"]
    history.add(Answered(id="q1", text="yes"))
    assert history.slot("ask").settled == 4
    assert history.state.status == "blocked"


def test_a_blocked_mail_is_handled_again_by_one_mail_alone() -> None:
    history = History(blocked())
    assert conflicts(history.state, blocked(fingerprint="B"))
    n = history.add(Unblocked(cause=1, by="ada"))
    assert (history.state.status, history.state.blocks[1].resumed) == ("running", n)
    assert conflicts(history.state, Unblocked(cause=1))
    assert conflicts(history.state, Unblocked(cause=7))
    history.add(blocked(fingerprint="B"))
    assert history.state.blocks[1].tried == ["A", "B"]
    assert history.state.status == "blocked"


def test_a_worker_may_retry_a_mail_that_made_progress_elsewhere() -> None:
    history = History(blocked(), Unblocked(cause=1, fingerprint="B"))
    history.add(stepped(), cause=1)
    history.add(blocked(fingerprint="B"))
    assert history.state.blocks[1].tried == ["B"]


def test_the_time_of_a_block_does_not_count_as_the_runs() -> None:
    history = History()
    history.add(blocked(), at=10.0)
    assert history.state.busy_for(500.0) == 9.0
    history.add(Unblocked(cause=1), at=1_000.0)
    assert history.state.busy_for(1_001.0) == 10.0


def test_nothing_blocks_an_ended_run() -> None:
    assert conflicts(History(FAILED).state, blocked())
    assert History(FAILED, blocked()).state.status == "failed"


# -- reopened ----------------------------------------------------------------------------------


def test_a_reopened_run_forgets_the_failure_and_keeps_what_is_done() -> None:
    history = History(stepped("paid", result=Raw(b"1")), stepped("send", error=BAD))
    history.add(Ended(status="failed", error="down", steps=["send"]))
    n = history.add(reopened(why="fixed"))
    state = history.state
    assert (state.status, state.error, state.reopened) == ("running", "", n)
    assert bytes(history.slot("paid").result) == b"1"
    assert (history.slot("send").settled, history.slot("send").woken) == (0, n)
    assert (state.root.reopened, state.root.resumed) == (n, n)
    assert expected(state.root) == {"paid"}


@pytest.mark.parametrize("status", ["failed", "timed_out", "max_turns", "budget_spent"])
def test_a_failed_run_can_be_reopened_once(status: str) -> None:
    history = History(Ended(status=status))
    assert not conflicts(history.state, reopened())
    history.add(reopened())
    assert conflicts(history.state, reopened())
    assert history.state.status == "running"


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_what_is_completed_or_cancelled_cannot_be_reopened(status: str) -> None:
    history = History(Ended(status=status))
    assert conflicts(history.state, reopened())
    history.add(reopened())
    assert history.state.status == status


def test_failed_frames_are_reopened_down_to_the_step() -> None:
    history = History(
        called(),
        Stepped(frame=CHILD, key="route#0", result=Raw(b"2")),
        Stepped(frame=CHILD, key="model#0", error=BAD),
        Returned(frame=CHILD, error=BAD, steps=["model#0"]),
        Ended(status="failed", error="down", steps=["team"]),
    )
    n = history.add(reopened())
    child = history.state.frames[CHILD]
    assert (child.done, child.reopened, child.resumed) == (False, n, 0)
    assert (history.slot("team").settled, history.slot("team").ref) == (0, CHILD)
    assert history.slot("route#0", CHILD).settled == 3
    assert history.slot("model#0", CHILD).woken == n
    assert not conflicts(history.state, Resumed(frame=CHILD))
    woken = history.add(Resumed(frame=CHILD))
    assert child.resumed == woken
    assert conflicts(history.state, Resumed(frame=CHILD))
    history.add(Returned(frame=CHILD, result=Raw(b"3")))
    assert bytes(history.slot("team").result) == b"3"


def test_without_a_recorded_cause_the_last_failure_counts() -> None:
    history = History(
        called(),
        Stepped(frame=CHILD, key="model#0", error=BAD),
        Returned(frame=CHILD, error=BAD),
        FAILED,
        reopened(),
    )
    assert not history.slot("team").settled
    assert not history.slot("model#0", CHILD).settled


def test_a_failure_that_the_body_handled_stays() -> None:
    history = History(stepped("a", error=BAD), stepped("b"), FAILED, reopened())
    assert history.slot("a").error == BAD


def test_an_expired_question_is_asked_again() -> None:
    history = History(asked(), Expired(id="q1"))
    history.add(Ended(status="timed_out", steps=["ask"]))
    history.add(reopened())
    assert history.state.root.again == {"ask": 1}
    assert history.slot("ask").again
    again = asked(ref="q2")
    assert not conflicts(history.state, again)
    history.add(again)
    assert conflicts(history.state, again)
    assert [question.id for question in history.state.open_questions()] == ["q2"]
    assert history.state.asked_again == 1


def test_a_question_closed_by_the_end_is_asked_again() -> None:
    history = History(asked(), Ended(status="timed_out"), reopened())
    assert history.slot("ask").again
    assert history.state.questions["q1"].status == "cancelled"
    assert history.state.waits == 0


def test_a_failed_child_is_waited_for_again() -> None:
    spawned = Spawned(frame=ROOT, key="child", run="other", workflow="v", event=Raw(b"{}"))
    history = History(spawned, JoinedRecord(frame=ROOT, key="child", error=BAD))
    history.add(Ended(status="failed", steps=["child"]))
    n = history.add(reopened())
    slot = history.slot("child")
    assert (slot.settled, slot.error, slot.ref, slot.woken) == (0, None, "other", n)
    assert (history.state.waits, history.state.status) == (1, "waiting")


def test_a_child_is_reopened_once_for_each_reopening_of_its_parent() -> None:
    history = History(FAILED, reopened(origin="p@9"), FAILED)
    assert conflicts(history.state, reopened(origin="p@9"))
    assert not conflicts(history.state, reopened(origin="p@12"))


def test_the_timeout_of_a_reopened_run_starts_again() -> None:
    history = History()
    history.add(Ended(status="timed_out"), at=100.0)
    history.add(reopened(), at=200.0)
    assert history.state.busy_for(205.0) == 5.0


def test_what_followed_the_failure_need_not_be_reached_again() -> None:
    history = History(
        stepped("paid"), stepped("send", error=BAD), stepped("refund"), stepped("on_failure/tell")
    )
    history.add(Ended(status="failed", steps=["send"]))
    history.add(reopened())
    assert expected(history.state.root) == {"paid"}
    assert history.slot("refund").settled
    assert history.state.root.rounds == 1


def test_a_run_that_timed_out_while_waiting_waits_again() -> None:
    """Its body had dealt with the failure before it: nothing is done again."""
    history = History(stepped("send", error=BAD), asked(), Ended(status="timed_out"))
    history.add(reopened())
    assert history.slot("send").error == BAD
    assert history.slot("ask").again
    assert expected(history.state.root) == {"send", "ask"}


# -- retried while the run continues ----------------------------------------------------------


def test_an_answer_causes_one_retry() -> None:
    history = History(stepped("send", error=BAD), asked(key="on_failure/ask"))
    history.add(Answered(id="q1", text="retry"))
    retried = Retried(frame=ROOT, steps=["send"], question="q1")
    n = history.add(retried)
    assert conflicts(history.state, retried)
    assert history.slot("send").woken == n
    assert history.state.root.reopened == 0  # whose it is to go on elsewhere stays as it was


def test_an_answer_may_change_the_event() -> None:
    history = History(stepped("paid"), Retried(frame=ROOT, whole=True, event=Raw(b'{"a":2}')))
    assert bytes(history.state.event) == b'{"a":2}'
    assert history.state.root.reopened == 3
    assert expected(history.state.root) == set()


def test_work_of_a_mail_before_a_retry_no_longer_counts() -> None:
    history = History(stepped("send", error=BAD), asked(key="on_failure/ask"))
    n = history.add(Retried(frame=ROOT, steps=["send"], question="q1"))
    assert is_stale(history.state, stepped("send", error=BAD), 1)
    assert not is_stale(history.state, stepped("send"), n)
    assert not is_stale(history.state, stepped("send"), 0)
    assert not is_stale(history.state, stepped("other"), 1)


def test_what_need_not_be_reached_need_not_be_reached_after_another_failure() -> None:
    history = History(stepped("send", error=BAD), stepped("tell"))
    history.add(Retried(frame=ROOT, steps=["send"]))
    history.add(stepped("send"))
    history.add(stepped("ship", error=BAD))
    history.add(Retried(frame=ROOT, steps=["ship"]))
    assert "tell" not in expected(history.state.root)


# -- whatever comes ----------------------------------------------------------------------------

repairs_st = st.one_of(
    records_st,
    st.builds(blocked, st.integers(1, 3), st.sampled_from("AB")),
    st.integers(1, 3).map(lambda cause: Unblocked(cause=cause)),
    st.sampled_from(["failed", "timed_out"]).map(lambda status: Ended(status=status)),
    st.just(reopened()),
    st.just(Resumed(frame=CHILD)),
)


@calmly
@given(st.lists(repairs_st, max_size=30))
def test_recorded_results_survive_every_repair(records: list[Record]) -> None:
    history = History()
    done: dict[str, bytes] = {}
    for record in records:
        if conflicts(history.state, record):
            continue
        history.add(record)
        state = history.state
        if not state.ended:
            assert state.waits == waiting_for(state)
            assert (state.status == "blocked") == bool(state.blocked)
        for key, slot in state.root.slots.items():
            if slot.kind == "step" and slot.settled and not slot.error:
                done[key] = bytes(slot.result)
        assert all(state.root.slots[key].settled for key in done)


@calmly
@given(st.lists(repairs_st, max_size=30))
def test_every_worker_folds_a_repaired_log_alike(records: list[Record]) -> None:
    history = admitted(records)
    again = RunState(id="run")
    for n, envelope in enumerate(history.log, 1):
        fold(again, n, decode(encode(envelope)))
        again = msgspec.json.decode(msgspec.json.encode(again), type=RunState)
    assert msgspec.json.encode(again) == msgspec.json.encode(history.state)
