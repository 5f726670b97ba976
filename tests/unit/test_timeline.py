"""A run's log as people read it."""

from __future__ import annotations

from typing import Any

import msgspec

from layby.bus.log import LogMessage
from layby.bus.log_subject import NOBODY
from layby.runtime.entry import (
    ROOT,
    Answered,
    Asked,
    Called,
    Cancelled,
    Ended,
    Expired,
    Failed,
    Failure,
    Raw,
    Record,
    Returned,
    Slept,
    Started,
    Stepped,
    Withdrawn,
    Woken,
)
from layby.runtime.envelope import Envelope, encode
from layby.views.rows import StepRow, TimelineLine
from layby.views.timeline import TimelineProjection
from tests.scripted import calls, says

STARTED = Started(
    workflow="desk", actor="workflow-desk", version="1", ticket="T1", event=Raw(b"{}")
)
TEAM = Called(frame=ROOT, key="team", child="w/team", actor="network-team", note="team")
TURN = Called(
    frame="w/team", key="turn#0.0", child="w/team/turn#0.0", actor="agent-anna", note="Anna"
)
ASKED = Asked(
    frame="w/team/turn#0.0",
    key="tool#0.0/ask",
    id="q1",
    role="developer",
    question="Is it known?",
    context="Since Monday",
    agent="Anna",
    deadline=1000.0,
)


def lines(*records: Record) -> list[tuple[TimelineLine, StepRow]]:
    """The lines of the last record, in a log with one record to a message."""
    timeline = TimelineProjection("run")
    found: list[tuple[TimelineLine, StepRow]] = []
    for n, record in enumerate([STARTED, *records], 1):
        data = encode(Envelope(op=f"{n}", at=float(n), records=[record]))
        found = timeline.project(LogMessage(n, NOBODY, data))
    return found


def line(*records: Record) -> TimelineLine:
    [(found, row)] = lines(*records)
    assert (row.kind, row.name, row.detail, row.actor) == (
        found.kind,
        found.title,
        found.detail,
        found.actor,
    )
    return found


def step(key: str, value: Any = None, frame: str = ROOT, **more: Any) -> Stepped:
    return Stepped(frame=frame, key=key, result=Raw(msgspec.json.encode(value)), **more)


def test_a_run_begins_with_its_workflow_and_ticket() -> None:
    found = line()
    assert (found.kind, found.run, found.ticket) == ("run.started", "run", "T1")
    assert (found.title, found.detail, found.actor) == ("desk", "ticket T1", "desk")
    assert found.at == "1970-01-01T00:00:01.000Z"


def test_a_step_shows_its_result_or_its_note() -> None:
    found = line(step("look", {"a": 1}))
    assert (found.kind, found.title, found.detail, found.actor) == (
        "step.done",
        "look",
        '{"a":1}',
        "desk",
    )
    assert line(step("look", 1, note="the time")).detail == "the time"
    [(_, row)] = lines(step("look", ms=1234.5))
    assert (row.seconds, row.n) == (1.2345, 2)


def test_a_step_named_like_an_agents_key_is_a_plain_step() -> None:
    for key in ("tool#1", "model#0", "route", "a/b"):
        assert (line(step(key)).kind, line(step(key)).title) == ("step.done", key)


def test_steps_around_a_call_are_titled_with_the_tools_name() -> None:
    turn = "w/team/turn#0.0"
    before = (TEAM, TURN, step("model#0", calls(("pay", {})), turn))
    for key, title in (
        ("before#0.0", "before pay"),
        ("after#0.0", "after pay"),
        ("after#0.9", "after#0.9"),
        ("response#0", "after the model"),
    ):
        assert line(*before, step(key, {}, turn)).title == title


def test_failures_show_their_type() -> None:
    bad = Failure(type="OSError", message="down")
    found = line(Stepped(frame=ROOT, key="call", error=bad))
    assert (found.kind, found.title, found.detail) == ("step.failed", "call", "OSError: down")
    found = line(Failed(frame=ROOT, key="call", error=bad, retry_at=60.0))
    assert (found.kind, found.detail) == (
        "step.failed",
        "OSError: down; again at 1970-01-01T00:01:00.000Z",
    )


def test_turns_show_the_names_of_their_agents() -> None:
    found = line(TEAM)
    assert (found.kind, found.title, found.actor) == ("network.started", "team", "desk")
    found = line(TEAM, TURN)
    assert (found.kind, found.title, found.actor) == ("turn.started", "Anna", "team")
    assert lines(TEAM, Returned(frame="w/team", result=Raw(b"1"))) == []
    bad = Failure(type="MaxTurns", message="10 turns")
    found = line(TEAM, Returned(frame="w/team", error=bad))
    assert (found.kind, found.title, found.detail) == ("step.failed", "team", "MaxTurns: 10 turns")


def test_decisions_responses_and_calls_have_their_own_kinds() -> None:
    found = line(TEAM, step("route#0", {}, "w/team", note="Anna (rule)"))
    assert (found.kind, found.title, found.actor) == ("route", "Anna (rule)", "team")
    response = says("Hello")
    found = line(TEAM, TURN, step("model#0", response, "w/team/turn#0.0", note="Hello"))
    assert (found.kind, found.title, found.actor) == ("model.responded", "Hello", "Anna")
    outcome: dict[str, Any] = {"content": "found: it"}
    found = line(TEAM, TURN, step("tool#0.0", outcome, "w/team/turn#0.0", note="look: found: it"))
    assert (found.kind, found.title, found.detail) == ("tool.called", "look", "found: it")
    outcome = {"content": "no", "is_error": True}
    found = line(TEAM, TURN, step("tool#0.0", outcome, "w/team/turn#0.0", note="look: no"))
    assert found.kind == "tool.failed"


def test_a_tools_own_steps_are_titled_with_its_name() -> None:
    turn = "w/team/turn#0.0"
    both = calls(("look", {}), ("order", {}))
    before = (TEAM, TURN, step("model#0", both, turn))
    found = line(*before, step("tool#0.1/pay", "paid", turn))
    assert (found.kind, found.title, found.detail) == ("step.done", "order/pay", '"paid"')
    bad = Failure(type="OSError", message="down")
    found = line(*before, Stepped(frame=turn, key="tool#0.0", error=bad))
    assert (found.kind, found.title) == ("step.failed", "look")
    found = line(*before, Slept(frame=turn, key="tool#0.1/sleep", until=60.0))
    assert (found.kind, found.title) == ("slept", "order/sleep")
    in_blob = {"$blob": "0" * 64, "size": 9}
    found = line(TEAM, TURN, step("model#0", in_blob, turn), step("tool#0.1/pay", 1, turn))
    assert found.title == "tool#0.1/pay"  # the response is in a blob


def test_a_question_carries_the_facts_a_program_needs() -> None:
    found = line(TEAM, TURN, ASKED)
    assert (found.kind, found.actor, found.detail) == ("question.asked", "Anna", "Is it known?")
    for key, value in {
        "id": "q1",
        "role": "developer",
        "question": "Is it known?",
        "context": "Since Monday",
        "agent": "Anna",
        "deadline": "1970-01-01T00:16:40.000Z",
    }.items():
        assert found.data[key] == value


def test_answers_show_who_gave_them() -> None:
    found = line(TEAM, TURN, ASKED, Answered(id="q1", text="Fixed", by="ada"))
    assert (found.kind, found.actor, found.detail) == ("question.answered", "ada", "Fixed")
    assert found.data["text"] == "Fixed"
    assert found.data["by"] == "ada"
    found = line(TEAM, TURN, ASKED, Answered(id="q1", text="Fixed"))
    assert (found.actor, found.title) == ("developer", "somebody answered")
    found = line(TEAM, TURN, ASKED, Expired(id="q1"))
    assert (found.kind, found.actor) == ("question.expired", "developer")
    assert line(Answered(id="never-asked", text="x")).actor == "person"


def test_sleeps_and_ends() -> None:
    sleep = Slept(frame=ROOT, key="sleep", until=60.0)
    assert line(sleep).detail == "until 1970-01-01T00:01:00.000Z"
    assert line(sleep, Woken(frame=ROOT, key="sleep")).kind == "woke"
    withdrawn = line(sleep, Withdrawn(frame=ROOT, key="sleep"))
    assert (withdrawn.kind, withdrawn.detail) == ("withdrawn", "no longer waited for")
    found = line(Ended(status="completed", result=Raw(b'{"a":1}')))
    assert (found.kind, found.title) == ("run.ended", "completed")
    assert found.data["status"] == "completed"
    assert found.data["result"] == {"a": 1}
    assert found.data["error"] is None
    found = line(Ended(status="failed", error="no good"))
    assert (found.title, found.detail, found.data["error"]) == ("failed", "no good", "no good")
    found = line(Cancelled(reason="a mistake"))
    assert (found.kind, found.data["status"]) == ("run.ended", "cancelled")


def test_the_records_of_one_message_keep_their_order() -> None:
    timeline = TimelineProjection("run")
    data = encode(Envelope(op="1", at=1.0, records=[STARTED, step("a"), step("b")]))
    found = timeline.project(LogMessage(1, NOBODY, data))
    assert [each.title for each, _ in found] == ["desk", "a", "b"]
    assert {row.n for _, row in found} == {1}


def test_long_details_are_cut() -> None:
    assert len(line(step("big", "x" * 100_000)).detail) == 300
    assert line(step("big", "x" * 100_000)).detail.endswith("…")
