"""A log becomes the rows of a waterfall: what is under what, and what filled its time."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from layby.actors.models.model import Message, ModelResponse, Text, ToolCall, Usage
from layby.runtime.entry import (
    NULL,
    ROOT,
    Answered,
    Arrived,
    Awaited,
    Blocked,
    Cancelled,
    Ended,
    Failure,
    Joined,
    Raw,
    Reopened,
    Retried,
    Returned,
    Slept,
    Spawned,
    Stepped,
    Withdrawn,
    Woken,
)
from layby.runtime.spent import Spent
from tests.waterfall_log import (
    TEAM,
    TURN,
    WrittenLog,
    asked,
    broken,
    network,
    stepped,
    tried,
    turn,
)

LOST = Failure(type="StepFailed", message="it broke")


def response(key: str = "model#0", *calls: str, frame: str = TURN, text: str = "hm") -> Stepped:
    """A model answers, or calls tools."""
    parts = [ToolCall(id=f"c{n}", name=name, arguments={}) for n, name in enumerate(calls)]
    said = ModelResponse(
        message=Message(role="assistant", parts=[Text(text=text), *parts]),
        stop_reason="tool_use" if calls else "end",
        usage=Usage(input_tokens=10, output_tokens=2),
        model="gpt",
    )
    return stepped(key, said, frame=frame)


def outcome(key: str, *, frame: str = TURN, ms: float = 1_000.0, **fields: Any) -> Stepped:
    """A tool call is over."""
    return stepped(key, {"content": "done", **fields}, frame=frame, ms=ms)


def answered(id_: str = "q1", by: str = "ada") -> Answered:
    return Answered(id=id_, text="yes", by=by, at=20.0, seq=1)


def test_what_models_use_counts_in_every_row_that_holds_them() -> None:
    log = WrittenLog(network(), turn(), turn(0, 1, name="Bob"))
    for frame, cost in ((TURN, 0.5), (f"{TEAM}/turn#0.1", 0.25)):
        spent = Spent(input_tokens=10, output_tokens=2, cost=cost)
        log.add(structs.replace(response(frame=frame), spent=spent))
    assert [log.node(name).spent.cost for name in ("Anna", "Bob", "team", "desk")] == [
        *(0.5, 0.25, 0.75, 0.75)
    ]
    assert log.root.spent == log.run.state.spent


def test_a_networks_turns_and_calls_are_under_it() -> None:
    log = WrittenLog(
        network(),
        stepped("route#0", {"agents": ["Anna"], "by": "code"}, frame=TEAM, ms=0),
        turn(),
        response("model#0", "search"),
        outcome("tool#0.0"),
        response("model#1"),
        Returned(frame=TURN),
        Returned(frame=TEAM),
        Ended(status="completed"),
    )
    assert log.drawn() == [
        "workflow desk | 0-90",
        "  network team (network) | 10-80",
        "    route team | work 20-20",
        "    agent Anna (turn 1) | 30-70",
        "      model gpt (1st) | work 39-40",
        "      tool search | work 49-50",
        "      model gpt (2nd) | work 59-60",
    ]
    assert log.run.outline.usage.tokens == 24


def test_a_network_in_a_tool_is_under_the_call_that_began_it() -> None:
    log = WrittenLog(
        network(), turn(), response("model#0", "delegate"), network(TURN, "tool#0.0/team")
    )
    inner = f"{TURN}/tool#0.0/team"
    log.add(turn(frame=inner, name="Bob"))
    log.add(Returned(frame=f"{inner}/turn#0.0"))
    log.add(Returned(frame=inner))
    log.add(outcome("tool#0.0"))
    assert log.drawn()[-3:] == [
        "      tool delegate | 30-80",
        "        network team (network) | 40-70",
        "          agent Bob (turn 1) | 50-60",
    ]


def test_a_step_of_a_tool_is_under_the_call() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "order"))
    log.add(stepped("tool#0.0/pay", "ok", frame=TURN))
    log.add(outcome("tool#0.0"))
    assert log.drawn()[-2:] == ["      tool order | 30-50", "        step order/pay | work 39-40"]


def test_parallel_tools_grow_until_each_is_done() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "slow", "quick"))
    log.add(outcome("tool#0.1"))
    assert log.drawn()[-2:] == ["      tool slow | work 30-", "      tool quick | work 39-40"]
    assert log.node("quick").start == 39.0
    log.add(outcome("tool#0.0", ms=15_000))
    assert log.drawn()[-2] == "      tool slow | work 35-50"


def test_a_tool_that_is_tried_again_began_with_its_first_try() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "order"))
    log.add(tried("tool#0.0", 60.0, frame=TURN))
    log.add(Woken(frame=TURN, key="tool#0.0"))
    log.add(outcome("tool#0.0"))
    node = log.node("order")
    assert node.start == 30.0
    assert [part.fill for part in node.parts] == ["failed", "backoff", "work"]


def test_rounds_are_counted_for_each_network() -> None:
    log = WrittenLog(network(), turn(0, 0), turn(0, 1, name="Bob"))
    assert log.node("Anna").note == "turn 1"
    assert log.node("Bob").note == "turn 2"


def test_a_back_off_is_between_two_tries_of_one_row() -> None:
    log = WrittenLog()
    log.add(tried("pay", 40.0), at=10.0, cause=1)
    log.add(Woken(frame=ROOT, key="pay"), at=40.0)
    log.add(stepped("pay", ms=2_000), at=43.0)
    [_, row] = log.drawn()
    assert row == "  step pay (OSError, 2 tries) | failed 0-10, backoff 10-40, work 41-43"
    assert log.node("pay").end == 43.0


def test_a_back_off_is_open_until_it_is_over_and_then_the_next_try_grows() -> None:
    log = WrittenLog()
    log.add(tried("pay", 40.0), cause=1)
    assert log.drawn()[-1] == "  step pay (OSError) | failed 0-10, backoff 10-"
    assert log.node("pay").deadline == 40.0
    log.add(Woken(frame=ROOT, key="pay"))
    assert log.drawn()[-1] == "  step pay (OSError) | failed 0-10, backoff 10-20, work 20-"
    log.add(tried("pay", 60.0, attempts=2))
    assert log.drawn()[-1].endswith("backoff 10-20, failed 20-30, backoff 30-")


def test_the_last_try_that_fails_ends_the_row_in_failure() -> None:
    log = WrittenLog(tried("pay", 40.0), Woken(frame=ROOT, key="pay"))
    log.add(broken("pay", error="OSError", attempts=2), cause=3)
    node = log.node("pay")
    assert node.failed
    assert node.tries == 2
    assert [part.fill for part in node.parts] == ["failed", "backoff", "queue", "failed"]


def test_time_before_a_worker_took_the_mail_is_queueing() -> None:
    log = WrittenLog()
    log.add(stepped("pay", ms=2_000), at=10.0, cause=1)
    assert log.drawn()[-1] == "  step pay | queue 0-8, work 8-10"


def test_sleeps_events_and_children_wait_until_they_are_over() -> None:
    log = WrittenLog(
        Slept(frame=ROOT, key="nap", until=99.0),
        Awaited(frame=ROOT, key="paid", subject="shop.paid"),
        Spawned(frame=ROOT, key="child", run="c" * 20, workflow="bill", event=NULL),
    )
    assert log.drawn()[1:] == [
        "  sleep nap (sleep) | wait 10-",
        "  event paid (shop.paid) | wait 20-",
        "  child bill (child run cccc) | wait 30-",
    ]
    assert log.node("bill").run == "c" * 20
    log.add(Woken(frame=ROOT, key="nap"))
    log.add(Arrived(frame=ROOT, key="paid", event=NULL))
    log.add(Joined(frame=ROOT, key="child", error=LOST))
    assert log.drawn()[1:] == [
        "  sleep nap (sleep) | wait 10-40",
        "  event paid (shop.paid) | wait 20-50",
        "  ! child bill (child run cccc) | wait 30-60",
    ]


def test_a_question_of_a_tool_is_under_its_call_which_works_on_after_the_answer() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "ask_developer"))
    log.add(asked(key="tool#0.0/ask", frame=TURN))
    assert log.drawn()[-2:] == [
        "      tool ask_developer | 30-",
        "        people developer (open) | unseen 40-",
    ]
    log.add(answered())
    assert log.drawn()[-2:] == [
        "      tool ask_developer | work 50-",
        "        people developer (ada) | unseen 40-50",
    ]
    log.add(outcome("tool#0.0", ms=30_000))
    assert log.drawn()[-2] == "      tool ask_developer | work 50-60"


def test_what_waits_for_approval_does_not_work() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "refund"))
    log.add(asked(key="approve#0.0", frame=TURN))
    assert log.drawn()[-2:] == [
        "      tool refund | 30-",
        "        people developer (open) | unseen 40-",
    ]


def test_a_turn_that_nobody_waits_for_is_over_with_everything_in_it() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "slow"))
    log.add(Withdrawn(frame=TEAM, key="turn#0.0"))
    assert log.drawn()[-3:] == [
        "    agent Anna (turn 1) | 20-40",
        "      model gpt (1st) | work 29-30",
        "      tool slow | work 30-40",
    ]


def test_a_cancelled_run_ends_everything_and_has_not_failed() -> None:
    log = WrittenLog(network(), turn(), asked(), Cancelled(reason="enough", by="ada"))
    assert all(node.end == 40.0 for node in log.run.outline.by_id.values())
    assert not log.root.failed
    assert log.node("developer").note == "withdrawn"
    assert log.run.state.status == "cancelled"


def test_a_blocked_run_shows_nothing_that_goes_on() -> None:
    log = WrittenLog(network(), turn())
    assert [node.kind for node in log.run.live] == ["model"]
    log.add(
        Blocked(cause=3, frame=TURN, kind="setup", reason="no model", needs="give it one"), cause=3
    )
    assert log.run.live == []
    assert log.node("Anna").records[-1] == (4, 0)


def retried_run() -> WrittenLog:
    """A run that failed in an agent's turn and is retried."""
    log = WrittenLog(network(), turn(), broken("model#0", frame=TURN))
    log.add(Returned(frame=TURN, error=LOST, steps=["model#0"]))
    log.add(Returned(frame=TEAM, error=LOST, steps=["turn#0.0"]))
    log.add(Ended(status="failed", error="it broke", steps=["team"]))
    log.add(Reopened(by="ada"))
    return log


def test_a_retried_run_goes_on_in_every_frame_that_failed() -> None:
    log = retried_run()
    assert log.drawn() == [
        "workflow desk | 0-",
        "  network team (network) | 10-",
        "    agent Anna (turn 1) | 20-",
        "      ! model model (ValueError) | failed 29-30",
    ]
    assert [(node.kind, node.parent and node.parent.name) for node in log.run.live] == [
        ("model", "Anna")
    ]
    log.add(response())
    assert log.drawn()[-1] == "      model gpt (1st) | work 79-80"


def test_a_retried_run_takes_up_what_its_end_cut_off_and_not_what_was_over() -> None:
    log = WrittenLog(
        stepped("first"),
        Slept(frame=ROOT, key="nap", until=999.0),
        asked(),
        broken("pay"),
        Ended(status="failed", steps=["pay"]),
    )
    assert log.drawn()[2] == "  sleep nap (sleep) | wait 20-50"
    log.add(Reopened(by="ada"))
    assert log.drawn()[1:] == [
        "  step first | work 9-10",
        "  sleep nap (sleep) | wait 20-50, wait 60-",
        "  people developer (withdrawn) | unseen 30-50",
        "  ! step pay (ValueError) | failed 39-40",
    ]
    log.add(Woken(frame=ROOT, key="nap"))
    assert log.node("nap").end == 70.0


def test_a_step_that_people_retry_goes_on_in_the_frames_that_it_called() -> None:
    log = WrittenLog(network(), turn(), broken("model#0", frame=TURN))
    log.add(Returned(frame=TURN, error=LOST, steps=["model#0"]))
    log.add(Retried(frame=TEAM, steps=["turn#0.0"]))
    assert log.node("Anna").end is None
    assert not log.node("Anna").failed


def test_a_completed_run_is_not_reopened() -> None:
    log = WrittenLog(Ended(status="completed"), Reopened(by="ada"))
    assert log.root.end == 10.0


def test_records_that_make_no_sense_hide_no_others() -> None:
    log = WrittenLog()
    log.add(Returned(frame="w/nowhere"))
    log.add(Joined(frame="w/nowhere", key="x"))
    log.add(answered("nobody asked"))
    log.add(Woken(frame=ROOT, key="never slept"))
    log.add(Stepped(frame=TURN, key="model#0", result=Raw(b'{"message": 7}'), ms=1.0))
    log.add(stepped("pay"))
    assert log.node("pay").end == 60.0


def test_a_message_that_cannot_be_read_is_passed_over() -> None:
    log = WrittenLog()
    log.run.take(log.run.messages[0]._replace(n=2, data=b"\xff{"))
    log.add(stepped("pay"))
    assert log.node("pay").id == "3.0"


def test_several_calls_of_one_response_have_ids_of_their_own() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "a", "b"))
    ids = [node.id for node in log.run.outline.by_id.values()]
    assert ids == ["1.0", "2.0", "3.0", "4.0", "4.0.1", "4.0.2"]


def test_a_call_is_found_by_its_row() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "a", "b"))
    call = log.run.outline.call_of(log.node("b"))
    assert call is not None
    assert call.id == "c1"
    assert log.run.outline.call_of(log.root) is None
    assert log.run.outline.call(TURN, "no key") is None
