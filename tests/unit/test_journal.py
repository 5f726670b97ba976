"""The fold: what a run's log says, record by record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layby.runtime.conflicts import conflicts
from layby.runtime.entry import (
    NULL,
    ROOT,
    Answered,
    Arrived,
    Asked,
    Awaited,
    Called,
    Cancelled,
    Ended,
    Expired,
    Failed,
    Failure,
    Joined,
    Raw,
    Record,
    Returned,
    Slept,
    Spawned,
    Started,
    Stepped,
    Withdrawn,
    Woken,
)
from layby.runtime.envelope import Envelope, decode, encode
from layby.runtime.journal import fold
from layby.runtime.state import RunState, Slot
from tests.examples import examples

STARTED = Started(workflow="w", actor="workflow-w", version="1", ticket="T1", event=Raw(b'{"a":1}'))
BAD = Failure(type="OSError", message="down", attempts=2)


class History:
    """A log under construction, and its fold."""

    def __init__(self, *records: Record) -> None:
        self.state = RunState(id="run")
        self.log: list[Envelope] = []
        self.add(STARTED)
        for record in records:
            self.add(record)

    def add(self, *records: Record, cause: int = 1, at: float | None = None) -> int:
        n = self.state.tail + 1
        envelope = Envelope(
            op=f"op-{n}", at=float(n) if at is None else at, cause=cause, records=list(records)
        )
        self.log.append(envelope)
        fold(self.state, n, envelope)
        return n

    def slot(self, key: str, frame: str = ROOT) -> Slot:
        found = self.state.slot(frame, key)
        assert found is not None
        return found


def stepped(key: str = "s", **more: Any) -> Stepped:
    return Stepped(frame=ROOT, key=key, **more)


def asked(ref: str = "q1", key: str = "ask", frame: str = ROOT, **more: Any) -> Asked:
    return Asked(
        frame=frame, key=key, id=ref, role="developer", question="?", deadline=99.0, **more
    )


def called(key: str = "team", frame: str = ROOT) -> Called:
    return Called(
        frame=frame, key=key, child=f"{frame}/{key}", actor="network-team", input=Raw(b"7")
    )


# -- each record -------------------------------------------------------------------------------


def test_a_run_begins_with_its_event() -> None:
    state = History().state
    assert (state.workflow, state.version, state.ticket) == ("w", "1", "T1")
    assert (state.status, state.ended, state.started_at, state.tail) == ("running", False, 1.0, 1)
    assert bytes(state.event) == b'{"a":1}'
    assert (state.root.actor, state.root.opened) == ("workflow-w", 1)


def test_a_step_is_settled_and_owned_by_the_mail_that_was_handled() -> None:
    history = History()
    n = history.add(stepped(result=Raw(b"5")), cause=1)
    slot = history.slot("s")
    assert (slot.kind, slot.settled, slot.owner, bytes(slot.result)) == ("step", n, 1, b"5")


def test_a_step_may_be_settled_with_an_error() -> None:
    slot = History(stepped(error=BAD)).slot("s")
    assert (slot.error, slot.settled) == (BAD, 2)


def test_a_failed_try_waits_until_it_is_woken_and_stays_open() -> None:
    history = History(Failed(frame=ROOT, key="s", error=BAD, retry_at=50.0))
    slot = history.slot("s")
    assert (slot.settled, slot.attempts, slot.wake_at) == (0, 2, 50.0)
    assert history.state.status == "waiting"
    n = history.add(Woken(frame=ROOT, key="s"))
    assert (slot.settled, slot.wake_at, slot.woken) == (0, 0.0, n)
    assert history.state.status == "running"
    history.add(stepped(), cause=n)
    assert slot.owner == n


def test_a_call_opens_a_frame_and_its_return_settles_the_call() -> None:
    history = History(called())
    child = history.state.frames[f"{ROOT}/team"]
    assert (child.actor, child.parent, child.key, child.opened) == ("network-team", ROOT, "team", 2)
    assert bytes(child.input) == b"7"
    assert history.state.status == "running"  # somebody works on it
    n = history.add(Returned(frame=child.id, result=Raw(b"8")))
    slot = history.slot("team")
    assert (slot.settled, slot.owner, bytes(slot.result)) == (n, n, b"8")
    assert child.done


def test_a_question_is_open_until_its_first_answer() -> None:
    history = History(asked(context="c", agent="A"))
    [question] = history.state.open_questions()
    assert (question.id, question.role, question.context, question.agent) == (
        "q1",
        "developer",
        "c",
        "A",
    )
    assert (question.asked_at, question.deadline) == (2.0, 99.0)
    assert history.state.status == "waiting"
    n = history.add(Answered(id="q1", text="yes", by="ada", at=2.5, seq=4))
    assert (question.status, question.text, question.by) == ("answered", "yes", "ada")
    assert (question.at, question.seq) == (2.5, 4)
    slot = history.slot("ask")
    assert (slot.settled, slot.owner, slot.ref) == (n, n, "q1")
    assert history.state.status == "running"


def test_a_question_that_expires_is_closed_by_that() -> None:
    history = History(asked())
    n = history.add(Expired(id="q1"), at=100.0)
    question = history.state.questions["q1"]
    assert (question.status, question.at, question.text) == ("expired", 100.0, "")
    assert history.slot("ask").settled == n


def test_a_sleep_is_settled_by_waking() -> None:
    history = History(Slept(frame=ROOT, key="sleep", until=50.0))
    slot = history.slot("sleep")
    assert (slot.kind, slot.wake_at, slot.settled) == ("sleep", 50.0, 0)
    assert history.state.status == "waiting"
    n = history.add(Woken(frame=ROOT, key="sleep"))
    assert (slot.wake_at, slot.settled, slot.owner) == (0.0, n, n)
    assert history.state.status == "running"


def test_an_awaited_event_arrives_or_the_wait_is_over() -> None:
    waits = [
        Awaited(frame=ROOT, key=key, subject="paid", match={"id": 1}, until=9.0) for key in "ab"
    ]
    history = History(*waits)
    n = history.add(Arrived(frame=ROOT, key="a", event=Raw(b'{"id":1}'), seq=3))
    slot = history.slot("a")
    assert (slot.settled, bytes(slot.result), slot.match) == (n, b'{"id":1}', {"id": 1})
    assert history.state.status == "waiting"
    n = history.add(Woken(frame=ROOT, key="b"))
    slot = history.slot("b")
    assert (slot.settled, slot.result) == (n, NULL)
    assert history.state.status == "running"


def test_a_child_run_is_joined() -> None:
    history = History(Spawned(frame=ROOT, key="c", run="other", workflow="v", event=Raw(b"{}")))
    assert (history.slot("c").ref, history.state.status) == ("other", "waiting")
    n = history.add(Joined(frame=ROOT, key="c", result=Raw(b"1")))
    slot = history.slot("c")
    assert (slot.settled, bytes(slot.result), history.state.status) == (n, b"1", "running")


def test_a_withdrawn_wait_is_over() -> None:
    history = History(asked(), Slept(frame=ROOT, key="sleep", until=5.0), called())
    for key in ("ask", "sleep", "team"):
        history.add(Withdrawn(frame=ROOT, key=key))
    assert history.state.status == "running"
    assert history.state.questions["q1"].status == "cancelled"
    assert history.state.open_questions() == []
    assert history.state.frames[f"{ROOT}/team"].done
    assert all(slot.dropped for slot in history.state.root.slots.values())


def test_a_run_ends_with_its_result() -> None:
    state = History(Ended(status="completed", result=Raw(b"9"))).state
    assert (state.status, bytes(state.result), state.error, state.ended) == (
        "completed",
        b"9",
        "",
        True,
    )


def test_a_cancelled_run_closes_its_questions() -> None:
    history = History(asked(), Slept(frame=ROOT, key="sleep", until=5.0))
    history.add(Cancelled(reason="a mistake"), at=77.0)
    state = history.state
    assert (state.status, state.error, state.waits) == ("cancelled", "a mistake", 0)
    assert (state.questions["q1"].status, state.questions["q1"].at) == ("cancelled", 77.0)


def test_a_run_waits_as_long_as_anything_is_open() -> None:
    history = History(asked("q1", "a"), asked("q2", "b"))
    history.add(Answered(id="q1", text="1"))
    assert history.state.status == "waiting"
    history.add(Answered(id="q2", text="2"))
    assert history.state.status == "running"


def test_records_of_one_message_are_applied_together() -> None:
    history = History()
    n = history.add(stepped("a"), stepped("b"), asked())
    assert history.slot("a").settled == history.slot("b").settled == n
    assert history.state.tail == n


def test_the_time_that_people_take_is_counted_once() -> None:
    history = History()
    history.add(asked("q1", "a"), at=10.0)
    history.add(asked("q2", "b"), at=20.0)
    history.add(Answered(id="q1", text="1"), at=30.0)
    assert history.state.busy_for(40.0) == 9.0  # 1 s to 10 s; somebody is still asked
    history.add(Answered(id="q2", text="2"), at=50.0)
    assert history.state.busy_for(60.0) == 19.0


# -- what comes twice, too late, or in no order ------------------------------------------------


def test_only_the_next_position_can_be_folded() -> None:
    history = History()
    for n in (1, 3, 0):
        with pytest.raises(ValueError, match=f"position {n} cannot follow 1"):
            fold(history.state, n, history.log[0])


@pytest.mark.parametrize(
    ("first", "second", "unchanged"),
    [
        (stepped(result=Raw(b"1")), stepped(result=Raw(b"2")), "s"),
        (stepped(), Failed(frame=ROOT, key="s", error=BAD, retry_at=5.0), "s"),
        (called(), called(), "team"),
        (asked(), asked("q2"), "ask"),
        (Slept(frame=ROOT, key="x", until=5.0), Slept(frame=ROOT, key="x", until=9.0), "x"),
        (stepped("x"), Slept(frame=ROOT, key="x", until=9.0), "x"),
        (Slept(frame=ROOT, key="x", until=9.0), stepped("x"), "x"),
    ],
)
def test_a_second_record_for_a_key_changes_nothing(
    first: Record, second: Record, unchanged: str
) -> None:
    history = History(first)
    before = msgspec.json.encode(history.slot(unchanged))
    waits = history.state.waits
    history.add(second)
    assert msgspec.json.encode(history.slot(unchanged)) == before
    assert history.state.waits == waits


@pytest.mark.parametrize("late", [Answered(id="q1", text="late"), Expired(id="q1")])
def test_a_question_closes_once(late: Record) -> None:
    history = History(asked(), Answered(id="q1", text="yes", by="ada"))
    settled = history.slot("ask").settled
    history.add(late)
    question = history.state.questions["q1"]
    assert (question.status, question.text, question.by) == ("answered", "yes", "ada")
    assert history.slot("ask").settled == settled
    assert history.state.waits == 0


def test_nothing_changes_an_ended_run() -> None:
    history = History(asked(), Ended(status="completed", result=Raw(b"1")))
    before = msgspec.json.encode(history.state)
    n = history.add(
        stepped(),
        Answered(id="q1", text="late"),
        Cancelled(reason="late"),
        Ended(status="failed", error="late"),
        asked("q2", "b"),
    )
    after = msgspec.structs.replace(history.state, tail=n - 1, updated_at=float(n - 1))
    assert msgspec.json.encode(after) == before


def test_records_of_an_ended_frame_change_nothing() -> None:
    history = History(called(), Returned(frame=f"{ROOT}/team", result=Raw(b"1")))
    history.add(Stepped(frame=f"{ROOT}/team", key="late"))
    history.add(asked("q9", "late", f"{ROOT}/team"))
    history.add(Returned(frame=f"{ROOT}/team", result=Raw(b"2")))
    assert bytes(history.slot("team").result) == b"1"
    assert "q9" not in history.state.questions
    assert history.state.status == "running"


@pytest.mark.parametrize(
    "stray",
    [
        Answered(id="nobody", text="x"),
        Expired(id="nobody"),
        Woken(frame=ROOT, key="nothing"),
        Woken(frame="nowhere", key="nothing"),
        Returned(frame="nowhere"),
        Stepped(frame="nowhere", key="s"),
        Arrived(frame=ROOT, key="nothing", event=NULL),
        Joined(frame=ROOT, key="nothing"),
        Withdrawn(frame=ROOT, key="nothing"),
        STARTED,
    ],
)
def test_a_record_without_a_target_changes_nothing(stray: Record) -> None:
    history = History(stepped())
    before = msgspec.json.encode(history.state)
    n = history.add(stray)
    after = msgspec.structs.replace(history.state, tail=n - 1, updated_at=float(n - 1))
    assert msgspec.json.encode(after) == before


# -- the other half of the fence ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "record", "lost"),
    [
        ((), STARTED, True),
        ((), stepped(), False),
        ((stepped(),), stepped(), True),
        ((stepped("other"),), stepped(), False),
        ((Failed(frame=ROOT, key="s", error=BAD, retry_at=5.0),), stepped(), True),
        (
            (
                Failed(frame=ROOT, key="s", error=BAD, retry_at=5.0),
                Woken(frame=ROOT, key="s"),
            ),
            stepped(),
            False,
        ),
        ((), Stepped(frame="nowhere", key="s"), True),
        ((), called(), False),
        ((called(),), called(), True),
        ((called(),), Returned(frame=f"{ROOT}/team"), False),
        ((called(), Returned(frame=f"{ROOT}/team")), Returned(frame=f"{ROOT}/team"), True),
        ((called(), Returned(frame=f"{ROOT}/team")), asked(frame=f"{ROOT}/team"), True),
        ((), asked(), False),
        ((asked(),), asked(), True),
        ((asked(),), Answered(id="q1", text="x"), False),
        ((asked(),), Expired(id="q1"), False),
        ((asked(), Expired(id="q1")), Answered(id="q1", text="x"), True),
        ((asked(), Answered(id="q1", text="x")), Answered(id="q1", text="y"), True),
        ((asked(), Answered(id="q1", text="x")), Expired(id="q1"), True),
        ((), Answered(id="q1", text="x"), True),
        ((), Slept(frame=ROOT, key="z", until=5.0), False),
        (
            (Slept(frame=ROOT, key="z", until=5.0),),
            Slept(frame=ROOT, key="z", until=5.0),
            True,
        ),
        ((Slept(frame=ROOT, key="z", until=5.0),), Woken(frame=ROOT, key="z"), False),
        ((), Woken(frame=ROOT, key="z"), True),
        (
            (Slept(frame=ROOT, key="z", until=5.0), Woken(frame=ROOT, key="z")),
            Woken(frame=ROOT, key="z"),
            True,
        ),
        ((asked(), Withdrawn(frame=ROOT, key="ask")), Answered(id="q1", text="x"), True),
        ((asked(), Withdrawn(frame=ROOT, key="ask")), Withdrawn(frame=ROOT, key="ask"), True),
        ((), Cancelled(), False),
        ((), Ended(status="completed"), False),
        ((Cancelled(),), Ended(status="completed"), True),
        ((Ended(status="completed"),), Cancelled(), True),
        ((Ended(status="completed"),), stepped(), True),
        ((asked(), Cancelled()), Answered(id="q1", text="x"), True),
    ],
)
def test_a_record_conflicts_with_what_the_log_already_says(
    history: tuple[Record, ...], record: Record, *, lost: bool
) -> None:
    assert conflicts(History(*history).state, record) is lost


KEYS = ["a", "b", "ask1", "ask2"]


def failed_try(key: str) -> Failed:
    return Failed(frame=ROOT, key=key, error=BAD, retry_at=5.0)


def ask_of(number: int) -> Asked:
    return asked(f"q{number}", f"ask{number}")


def answer_to(number: int) -> Answered:
    return Answered(id=f"q{number}", text="x")


def end_of(number: int) -> Expired:
    return Expired(id=f"q{number}")


def sleep(key: str) -> Slept:
    return Slept(frame=ROOT, key=key, until=5.0)


def waking(key: str) -> Woken:
    return Woken(frame=ROOT, key=key)


def withdrawal(key: str) -> Withdrawn:
    return Withdrawn(frame=ROOT, key=key)


def wait_of(key: str) -> Awaited:
    return Awaited(frame=ROOT, key=key, subject="said")


def arrival(key: str, seq: int) -> Arrived:
    return Arrived(frame=ROOT, key=key, event=Raw(b"{}"), seq=seq)


def return_of(key: str) -> Returned:
    return Returned(frame=f"{ROOT}/{key}", result=Raw(b"1"))


keys, numbers = st.sampled_from(KEYS), st.integers(1, 2)
records_st = st.one_of(
    keys.map(stepped),
    keys.map(failed_try),
    numbers.map(ask_of),
    numbers.map(answer_to),
    numbers.map(end_of),
    keys.map(sleep),
    keys.map(waking),
    keys.map(withdrawal),
    keys.map(wait_of),
    st.builds(arrival, keys, st.integers(0, 3)),
    keys.map(called),
    keys.map(return_of),
    st.just(Cancelled()),
    st.just(Ended(status="completed")),
)
calmly = settings(
    deadline=None,
    database=None,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.too_slow],
)


def admitted(records: list[Record]) -> History:
    """A log as writers make it: what conflicts is not appended."""
    history = History()
    for record in records:
        if not conflicts(history.state, record):
            history.add(record)
    return history


def waiting_for(state: RunState) -> int:
    """What is open, counted the long way."""
    questions = len(state.open_questions())
    slots = [slot for frame in state.frames.values() for slot in frame.slots.values()]
    return questions + sum(bool(slot.wake_at) and not slot.settled for slot in slots)


@calmly
@given(st.lists(records_st, max_size=25))
def test_the_fold_of_any_log_is_consistent(records: list[Record]) -> None:
    history = admitted(records)
    state = history.state
    if not state.ended:
        assert state.waits == waiting_for(state)
        assert state.status == ("waiting" if state.waits else "running")
    again = RunState(id="run")
    for n, envelope in enumerate(history.log, 1):
        fold(again, n, decode(encode(envelope)))  # as it was stored
    assert msgspec.json.encode(again) == msgspec.json.encode(state)


def test_a_question_does_not_take_the_key_of_a_step_that_is_tried_again() -> None:
    history = admitted([failed_try("ask1"), waking("ask1")])
    assert conflicts(history.state, ask_of(1))


@calmly
@given(st.lists(records_st, max_size=15), records_st)
def test_a_record_without_a_conflict_changes_the_state(
    records: list[Record], record: Record
) -> None:
    history = admitted(records)
    lost = conflicts(history.state, record)
    before = msgspec.json.encode(history.state)
    n = history.add(record)
    after = msgspec.structs.replace(history.state, tail=n - 1, updated_at=history.log[-2].at)
    assert lost or msgspec.json.encode(after) != before


@calmly
@given(st.lists(records_st, max_size=25))
def test_settled_slots_never_change(records: list[Record]) -> None:
    history = History()
    settled: dict[str, bytes] = {}
    for record in records:
        if conflicts(history.state, record):
            continue
        history.add(record)
        for key, slot in history.state.root.slots.items():
            if slot.settled:
                now = msgspec.json.encode(slot)
                assert settled.setdefault(key, now) == now


@calmly
@given(st.lists(records_st, max_size=20))
def test_a_parked_state_can_be_folded_further(records: list[Record]) -> None:
    """As the `parked` record does: written down in the midst, read back, and folded further."""
    half = len(records) // 2
    whole, first = History(*records), History(*records[:half])
    parked = msgspec.json.decode(msgspec.json.encode(first.state), type=RunState)
    for n in range(parked.tail + 1, whole.state.tail + 1):
        fold(parked, n, whole.log[n - 1])
    assert msgspec.json.encode(parked) == msgspec.json.encode(whole.state)


waits_st = st.one_of(
    st.sampled_from("abcdef").map(wait_of),
    st.builds(arrival, st.sampled_from("abcdef"), st.integers(1, 6)),
)


@calmly
@given(st.lists(waits_st, max_size=40))
def test_no_event_is_given_to_a_wait_that_began_after_it_was_consumed(
    records: list[Record],
) -> None:
    log = [envelope.records[0] for envelope in admitted(records).log]
    began = {record.key: n for n, record in enumerate(log) if isinstance(record, Awaited)}
    given_at: dict[int, list[tuple[int, str]]] = {}
    for n, record in enumerate(log):
        if isinstance(record, Arrived):
            given_at.setdefault(record.seq, []).append((n, record.key))
    for [(first, _), *more] in given_at.values():
        assert all(began[key] < first for _, key in more)


def test_the_event_that_began_a_run_counts_as_consumed() -> None:
    state = RunState(id="run")
    started = msgspec.structs.replace(STARTED, seq=7, on="said")
    fold(state, 1, Envelope(op="op-1", at=1.0, records=[started, wait_of("a")]))
    assert conflicts(state, arrival("a", 7))
    assert not conflicts(state, arrival("a", 8))
