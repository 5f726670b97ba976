"""What a log remembers of repairs: commands, inputs, and what a retry does again inside a frame."""

from __future__ import annotations

import pytest

from layby.runtime.ask_backs import request_key
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import (
    ROOT,
    Answered,
    Awaited,
    Blocked,
    Cancelled,
    Ended,
    Failed,
    Joined,
    Raw,
    Record,
    Reopened,
    Resumed,
    Retried,
    Returned,
    Slept,
    Spawned,
    Stepped,
    Unblocked,
    Withdrawn,
)
from layby.runtime.repairs import expected
from layby.runtime.unseen_records import Claimed, Removed
from tests.unit.test_journal import BAD, History, asked, called, stepped

CHILD = f"{ROOT}/team"


def blocked() -> Blocked:
    return Blocked(cause=1, frame=ROOT, kind="key", reason="no key", needs="set one")


def spawned(key: str = "child", run: str = "other", **more: bool) -> Spawned:
    return Spawned(frame=ROOT, key=key, run=run, workflow="v", event=Raw(b"{}"), **more)


# -- commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "records",
    [
        [Cancelled(reason="stop", command="c1")],
        [blocked(), Unblocked(cause=1, by="ada", command="c1")],
        [Ended(status="failed"), Reopened(by="ada", command="c1")],
    ],
)
def test_a_command_that_was_carried_out_is_noted(records: list[Record]) -> None:
    assert History(*records).state.commands == ["c1"]


def test_what_no_command_asked_for_is_not_noted() -> None:
    history = History(blocked(), Unblocked(cause=1))
    history.add(Unblocked(cause=1, command="late"))
    assert history.state.commands == []
    assert history.state.blocks[1].command == ""


def test_a_command_that_is_delivered_again_reopens_nothing() -> None:
    history = History(Ended(status="failed"), Reopened(by="ada", command="c1"))
    history.add(Ended(status="failed"))
    assert conflicts(history.state, Reopened(by="ada", command="c1"))
    assert not conflicts(history.state, Reopened(by="ada", command="c2"))
    assert not conflicts(history.state, Reopened(by="ada"))
    history.add(Reopened(by="ada", command="c2"))
    assert history.state.commands == ["c1", "c2"]


# -- what is done again -----------------------------------------------------------------------


def test_an_edited_input_takes_the_place_of_the_steps_own() -> None:
    history = History(stepped("a"), stepped("send", error=BAD))
    history.add(Retried(frame=ROOT, steps=["send"], input=Raw(b"[7]")))
    assert history.state.root.inputs == {"send": Raw(b"[7]")}
    history.add(Retried(frame=ROOT, whole=True, input=Raw(b"[8]")))
    assert history.state.root.inputs == {"send": Raw(b"[7]")}, "no step was named"


def test_a_retry_of_the_body_itself_counts_as_a_round_and_owns_it() -> None:
    history = History(stepped("paid"))
    n = history.add(Retried(frame=ROOT, whole=True))
    root = history.state.root
    assert (root.rounds, root.reopened, root.resumed) == (1, n, n)
    n = history.add(Retried(frame=ROOT, whole=True))
    assert (root.rounds, root.resumed) == (2, n)


def test_failures_inside_a_step_are_forgotten_with_it_and_successes_are_kept() -> None:
    history = History(
        stepped("tool", error=BAD),
        stepped("tool/inner", error=BAD),
        stepped("tool/done", result=Raw(b"1")),
        stepped("toolbox", error=BAD),
    )
    history.add(Retried(frame=ROOT, steps=["tool"]))
    assert not history.slot("tool").settled
    assert not history.slot("tool/inner").settled
    assert history.slot("tool/done").result == Raw(b"1")
    assert history.slot("toolbox").error == BAD


def test_an_unknown_step_is_not_done_again() -> None:
    history = History(stepped("a", error=BAD), stepped("b", error=BAD))
    history.add(Retried(frame=ROOT, steps=["b", "gone"]))
    assert history.slot("a").error == BAD
    assert history.slot("b").error is None


def test_nothing_is_retried_in_a_frame_that_is_done_or_unknown() -> None:
    history = History(called(), Returned(frame=CHILD, error=BAD))
    for frame in (CHILD, "nobody"):
        retried = Retried(frame=frame, steps=["x"], event=Raw(b"7"))
        assert conflicts(history.state, retried)
        history.add(retried)
    assert history.state.event == Raw(b'{"a":1}')


def test_an_answer_that_has_caused_a_retry_causes_no_other() -> None:
    history = History(asked(), Answered(id="q1", text="retry"))
    history.add(Retried(frame=ROOT, whole=True, question="q1"))
    assert conflicts(history.state, Retried(frame=ROOT, whole=True, question="q1"))
    assert not conflicts(history.state, Retried(frame=ROOT, whole=True))


def test_a_called_actor_that_failed_is_entered_again_and_asks_again() -> None:
    history = History(
        called(), asked(key="ask", frame=CHILD), Stepped(frame=CHILD, key="model#0", error=BAD)
    )
    history.add(Returned(frame=CHILD, error=BAD, steps=["model#0"]))
    history.add(Ended(status="failed", error="down", steps=["team"]))
    n = history.add(Reopened(by="ada"))
    child = history.state.frames[CHILD]
    assert (child.done, child.reopened, child.steps) == (False, n, [])
    assert child.again == {"ask": 1}
    assert (history.slot("team").woken, history.slot("team").error) == (n, None)
    assert history.state.frames[ROOT].steps == []


def test_a_retry_in_a_run_that_goes_on_enters_the_called_actor_again() -> None:
    history = History(called(), asked(frame=CHILD), Stepped(frame=CHILD, key="model#0", error=BAD))
    history.add(Withdrawn(frame=CHILD, key="ask"))
    history.add(asked("q2", key="more", frame=CHILD))
    history.add(Returned(frame=CHILD, error=BAD, steps=["model#0"]))
    n = history.add(Retried(frame=ROOT, steps=["team"]))
    child = history.state.frames[CHILD]
    assert (child.done, child.reopened, child.resumed) == (False, n, 0)
    assert not history.slot("model#0", CHILD).settled
    assert not conflicts(history.state, Resumed(frame=CHILD))
    assert child.again == {}, "one question was withdrawn, and the other is open"


def test_a_child_run_that_ended_with_its_parent_is_waited_for_again() -> None:
    history = History(spawned(), spawned("done", "r2"), stepped("s", error=BAD))
    history.add(Joined(frame=ROOT, key="done", result=Raw(b"1")))
    history.add(Ended(status="failed", steps=["s"]))
    n = history.add(Reopened(by="ada"))
    assert history.slot("child").woken == n
    assert history.slot("done").woken == 0
    assert history.state.waits == 1


def test_what_still_waits_is_counted_after_a_repair() -> None:
    history = History(
        spawned(),
        Slept(frame=ROOT, key="nap", until=50.0),
        Awaited(frame=ROOT, key="paid", subject="paid"),
        Failed(frame=ROOT, key="back-off", error=BAD, retry_at=60.0),
        asked(),
        stepped("s", error=BAD),
    )
    before = history.state.waits
    history.add(Retried(frame=ROOT, steps=["s"]))
    assert history.state.waits == before == 5


def test_a_body_need_not_reach_what_people_were_asked_for_in_its_place() -> None:
    history = History(stepped("a"), stepped("on_failure/failed"), asked(key=request_key("ask", 7)))
    assert expected(history.state.root) == {"a"}


# -- children and removed runs ----------------------------------------------------------------


def test_a_run_knows_which_children_nobody_waits_for() -> None:
    history = History(
        stepped("no-child"),
        spawned("a", "ra"),
        spawned("b", "rb", detached=True),
        spawned("c", "rc"),
    )
    history.add(Joined(frame=ROOT, key="c"))
    assert history.state.children() == ["ra", "rb", "rc"]
    assert history.state.abandoned() == []
    history.add(Ended(status="completed"))
    assert history.state.abandoned() == ["ra"]


def test_a_cancel_from_before_a_parent_returned_is_void() -> None:
    history = History(Claimed(at=9))
    assert history.state.claimed == 9
    assert conflicts(history.state, Cancelled(parent="p", at=8))
    assert not conflicts(history.state, Cancelled(parent="p", at=9))
    assert not conflicts(history.state, Cancelled(by="ada"))
    assert [conflicts(history.state, Claimed(at=at)) for at in (8, 9, 10)] == [True, True, False]
    history.add(Claimed(at=4))
    assert history.state.claimed == 9


def test_a_child_that_ended_with_its_parent_can_be_reopened_by_it_alone() -> None:
    history = History(Cancelled(parent="p"))
    assert history.state.abandoned_by == "p"
    assert conflicts(history.state, Reopened(by="ada"))
    assert not conflicts(history.state, Reopened(by="", origin="p@9"))
    history.add(Reopened(by="", origin="p@9"))
    assert (history.state.abandoned_by, history.state.status) == ("", "running")


def test_only_an_ended_run_is_removed_and_then_it_cannot_be_reopened() -> None:
    history = History()
    assert conflicts(history.state, Removed())
    history.add(Removed())
    assert not history.state.removed
    history.add(Ended(status="failed"))
    assert not conflicts(history.state, Removed())
    history.add(Removed())
    assert history.state.removed
    assert conflicts(history.state, Removed())
    assert conflicts(history.state, Reopened(by="ada"))
