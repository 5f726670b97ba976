"""A run's log as people read it."""

from __future__ import annotations

from typing import Any

import msgspec

from layby.bus.log import NOBODY, LogMessage
from layby.rows import StepRow, TimelineLine
from layby.runtime.entry import (
    ROOT,
    Answered,
    Asked,
    Called,
    Cancelled,
    Ended,
    Envelope,
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
    encode,
)
from layby.timeline import Narrator
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


def tell(*records: Record) -> list[tuple[TimelineLine, StepRow]]:
    """The lines of a log with one record to a message, without those before the last record."""
    narrator = Narrator("run")
    told: list[tuple[TimelineLine, StepRow]] = []
    for n, record in enumerate([STARTED, *records], 1):
        data = encode(Envelope(op=f"{n}", at=float(n), records=[record]))
        told = narrator.tell(LogMessage(n, NOBODY, data))
    return told


def line(*records: Record) -> TimelineLine:
    [(told, row)] = tell(*records)
    assert (row.kind, row.name, row.detail, row.actor) == (
        told.kind,
        told.title,
        told.detail,
        told.actor,
    )
    return told


def step(key: str, value: Any = None, frame: str = ROOT, **more: Any) -> Stepped:
    return Stepped(frame=frame, key=key, result=Raw(msgspec.json.encode(value)), **more)


def test_a_run_begins_with_its_workflow_and_ticket() -> None:
    told = line()
    assert (told.kind, told.run, told.ticket) == ("run.started", "run", "T1")
    assert (told.title, told.detail, told.actor) == ("desk", "ticket T1", "desk")
    assert told.at == "1970-01-01T00:00:01.000Z"


def test_a_step_tells_its_result_or_its_note() -> None:
    told = line(step("look", {"a": 1}))
    assert (told.kind, told.title, told.detail, told.actor) == (
        "step.done",
        "look",
        '{"a":1}',
        "desk",
    )
    assert line(step("look", 1, note="the time")).detail == "the time"
    [(_, row)] = tell(step("look", ms=1234.5))
    assert (row.seconds, row.n) == (1.2345, 2)


def test_a_steps_name_that_looks_like_ours_is_a_step() -> None:
    for key in ("tool#1", "model#0", "route", "a/b"):
        assert (line(step(key)).kind, line(step(key)).title) == ("step.done", key)


def test_what_stands_around_a_call_is_told_by_the_tools_name() -> None:
    turn = "w/team/turn#0.0"
    both: dict[str, Any] = {
        "message": {"parts": [{"type": "tool_call", "id": "c", "name": "pay", "arguments": {}}]}
    }
    before = (TEAM, TURN, step("model#0", both, turn))
    for key, title in (
        ("before#0.0", "before pay"),
        ("after#0.0", "after pay"),
        ("after#0.9", "after#0.9"),
        ("response#0", "after the model"),
    ):
        assert line(*before, step(key, {}, turn)).title == title


def test_failures_are_told_with_their_type() -> None:
    bad = Failure(type="OSError", message="down")
    told = line(Stepped(frame=ROOT, key="call", error=bad))
    assert (told.kind, told.title, told.detail) == ("step.failed", "call", "OSError: down")
    told = line(Failed(frame=ROOT, key="call", error=bad, retry_at=60.0))
    assert (told.kind, told.detail) == (
        "step.failed",
        "OSError: down; again at 1970-01-01T00:01:00.000Z",
    )


def test_turns_are_told_by_the_names_of_those_who_take_them() -> None:
    told = line(TEAM)
    assert (told.kind, told.title, told.actor) == ("network.started", "team", "desk")
    told = line(TEAM, TURN)
    assert (told.kind, told.title, told.actor) == ("turn.started", "Anna", "team")
    assert tell(TEAM, Returned(frame="w/team", result=Raw(b"1"))) == []
    bad = Failure(type="MaxTurns", message="10 turns")
    told = line(TEAM, Returned(frame="w/team", error=bad))
    assert (told.kind, told.title, told.detail) == ("step.failed", "team", "MaxTurns: 10 turns")


def test_decisions_responses_and_calls_are_told_as_such() -> None:
    told = line(TEAM, step("route#0", {}, "w/team", note="Anna (rule)"))
    assert (told.kind, told.title, told.actor) == ("route", "Anna (rule)", "team")
    response = says("Hello")
    told = line(TEAM, TURN, step("model#0", response, "w/team/turn#0.0", note="Hello"))
    assert (told.kind, told.title, told.actor) == ("model.responded", "Hello", "Anna")
    outcome: dict[str, Any] = {"content": "found: it"}
    told = line(TEAM, TURN, step("tool#0.0", outcome, "w/team/turn#0.0", note="look: found: it"))
    assert (told.kind, told.title, told.detail) == ("tool.called", "look", "found: it")
    outcome = {"content": "no", "is_error": True}
    told = line(TEAM, TURN, step("tool#0.0", outcome, "w/team/turn#0.0", note="look: no"))
    assert told.kind == "tool.failed"


def test_a_tools_own_steps_are_told_by_the_tools_name() -> None:
    turn = "w/team/turn#0.0"
    both = calls(("look", {}), ("order", {}))
    before = (TEAM, TURN, step("model#0", both, turn))
    told = line(*before, step("tool#0.1/pay", "paid", turn))
    assert (told.kind, told.title, told.detail) == ("step.done", "order/pay", '"paid"')
    bad = Failure(type="OSError", message="down")
    told = line(*before, Stepped(frame=turn, key="tool#0.0", error=bad))
    assert (told.kind, told.title) == ("step.failed", "look")
    told = line(*before, Slept(frame=turn, key="tool#0.1/sleep", until=60.0))
    assert (told.kind, told.title) == ("slept", "order/sleep")
    put_away = {"$blob": "0" * 64, "size": 9}
    told = line(TEAM, TURN, step("model#0", put_away, turn), step("tool#0.1/pay", 1, turn))
    assert told.title == "tool#0.1/pay"  # the response was too large to look into


def test_a_question_brings_what_a_program_needs() -> None:
    told = line(TEAM, TURN, ASKED)
    assert (told.kind, told.actor, told.detail) == ("question.asked", "Anna", "Is it known?")
    for key, value in {
        "id": "q1",
        "role": "developer",
        "question": "Is it known?",
        "context": "Since Monday",
        "agent": "Anna",
        "deadline": "1970-01-01T00:16:40.000Z",
    }.items():
        assert told.data[key] == value


def test_answers_tell_who_gave_them() -> None:
    told = line(TEAM, TURN, ASKED, Answered(id="q1", text="Fixed", by="ada"))
    assert (told.kind, told.actor, told.detail) == ("question.answered", "ada", "Fixed")
    assert told.data["text"] == "Fixed"
    assert told.data["by"] == "ada"
    told = line(TEAM, TURN, ASKED, Answered(id="q1", text="Fixed"))
    assert (told.actor, told.title) == ("developer", "somebody answered")
    told = line(TEAM, TURN, ASKED, Expired(id="q1"))
    assert (told.kind, told.actor) == ("question.expired", "developer")
    assert line(Answered(id="unheard", text="x")).actor == "person"


def test_sleeps_and_ends() -> None:
    sleep = Slept(frame=ROOT, key="sleep", until=60.0)
    assert line(sleep).detail == "until 1970-01-01T00:01:00.000Z"
    assert line(sleep, Woken(frame=ROOT, key="sleep")).kind == "woke"
    withdrawn = line(sleep, Withdrawn(frame=ROOT, key="sleep"))
    assert (withdrawn.kind, withdrawn.detail) == ("withdrawn", "no longer waited for")
    told = line(Ended(status="completed", result=Raw(b'{"a":1}')))
    assert (told.kind, told.title) == ("run.ended", "completed")
    assert told.data["status"] == "completed"
    assert told.data["result"] == {"a": 1}
    assert told.data["error"] is None
    told = line(Ended(status="failed", error="no good"))
    assert (told.title, told.detail, told.data["error"]) == ("failed", "no good", "no good")
    told = line(Cancelled(reason="a mistake"))
    assert (told.kind, told.data["status"]) == ("run.ended", "cancelled")


def test_several_records_of_one_message_are_told_in_order() -> None:
    narrator = Narrator("run")
    data = encode(Envelope(op="1", at=1.0, records=[STARTED, step("a"), step("b")]))
    told = narrator.tell(LogMessage(1, NOBODY, data))
    assert [each.title for each, _ in told] == ["desk", "a", "b"]
    assert {row.n for _, row in told} == {1}


def test_long_words_are_cut() -> None:
    assert len(line(step("big", "x" * 100_000)).detail) == 300
    assert line(step("big", "x" * 100_000)).detail.endswith("…")
