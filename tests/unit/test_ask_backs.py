"""What people ask back, and the clock that stands meanwhile, as the log folds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.agents.reply import request_for
from layby.actors.models.model import Message, ModelRequest, Text, ToolCall, ToolResult, ToolSpec
from layby.actors.people.card import Place, card_of
from layby.actors.people.confidential import veiled
from layby.actors.people.parked_question import parked_question
from layby.actors.people.shown_ask_back import ShownAskBack, shown_ask_backs
from layby.bus.names import Names
from layby.runtime import explaining
from layby.runtime.ask_back_records import AskedBack, Replied
from layby.runtime.ask_backs import LONGEST_REPLY, MOST, is_request, moves_of, request_key, why_not
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import ROOT, Answered, Asked, Expired, Raw, Record, Started
from layby.runtime.envelope import Envelope
from layby.runtime.errors import InvalidSetup, NonRetriableError
from layby.runtime.explaining import AskBack, Explained
from layby.runtime.journal import fold
from layby.runtime.ladder_records import Laddered, PlannedRung, Reached
from layby.runtime.repairs import expected
from layby.runtime.retry import Retry
from layby.runtime.spent import Spent
from layby.runtime.state import FORM, FORM_WITH_ASK_BACKS, FORMS, Question, RunState

HOUR = 3_600.0
GIVEN = HOUR
"""The deadline: an hour after the question was asked, at 0."""


def asked_back(at: float, seq: int, *, by: str = "ada", text: str = "Why?") -> AskedBack:
    return AskedBack(id="q1", role="developer", by=by, at=at, seq=seq, vouched="nats", text=text)


def reply(seq: int, **more: Any) -> Replied:
    fields: dict[str, Any] = {"kind": "agent", "by": "Anna", "text": "So.", **more}
    return Replied(id="q1", seq=seq, **fields)


def state_of(*told: tuple[float, Record], stops: bool = False, rungs: bool = False) -> RunState:
    """A run that has asked `q1` at 0, after these records at these times."""
    started = Started(workflow="w", actor="w", version="1", ticket="T1", event=Raw(b"{}"))
    asked = Asked(
        frame=ROOT,
        key="ask",
        id="q1",
        role="developer",
        question="Known?",
        deadline=GIVEN,
        stops=stops,
    )
    ladder = Laddered(
        id="q1",
        rungs=[
            PlannedRung(kind="reminder", at=HOUR / 4),
            PlannedRung(kind="escalation", at=HOUR / 2, to="role:lead"),
        ],
    )
    state = RunState(id="r1")
    first: list[Record] = [started, ladder, asked] if rungs else [started, asked]
    messages: list[tuple[float, list[Record]]] = [(0.0, first)]
    for n, (at, records) in enumerate([*messages, *((at, [each]) for at, each in told)], 1):
        fold(state, n, Envelope(op=str(n), at=at, cause=7, records=records))
    return state


def question(state: RunState) -> Question:
    return state.questions["q1"]


# -- the fold ----------------------------------------------------------------------------------


def test_what_was_asked_back_has_one_reply() -> None:
    state = state_of((10.0, asked_back(10.0, 5)), (20.0, reply(5, spent=Spent(input_tokens=3))))
    [each] = state.asked_back["q1"]
    assert each.reply is not None
    assert (each.n, each.reply.n, each.reply.owner, each.reply.at) == (2, 3, 7, 20.0)
    assert state.spent.input_tokens == 3
    second = reply(5, text="Otherwise.", spent=Spent(input_tokens=5))
    assert conflicts(state, second)
    fold(state, 4, Envelope(op="4", at=30.0, cause=1, records=[second]))
    assert state.asked_back["q1"][0].reply == each.reply
    assert state.spent.input_tokens == 3


def test_nothing_is_asked_back_twice_and_nothing_is_replied_that_was_not_asked() -> None:
    state = state_of((10.0, asked_back(10.0, 5)))
    assert conflicts(state, asked_back(10.0, 5))
    assert conflicts(state, asked_back(9.0, 4)), "the order is that of the stream"
    assert not conflicts(state, asked_back(11.0, 6))
    assert conflicts(state, reply(6))
    assert not conflicts(state, reply(5))


def test_a_closed_question_takes_neither() -> None:
    answer = Answered(id="q1", text="yes", by="bob", at=20.0, seq=9)
    state = state_of((10.0, asked_back(10.0, 5)), (20.0, answer))
    assert conflicts(state, reply(5))
    assert conflicts(state, asked_back(30.0, 12))
    assert question(state).status == "answered"


def test_about_a_request_for_a_reply_nobody_asks_back() -> None:
    state = state_of()
    question(state).about = "q0"
    assert conflicts(state, asked_back(10.0, 5))


def test_the_tenth_is_the_last() -> None:
    state = state_of(*((float(n), asked_back(float(n), n)) for n in range(1, MOST + 1)))
    assert len(state.asked_back["q1"]) == MOST
    assert conflicts(state, asked_back(99.0, 99))
    assert "10 times" in why_not(state.asked_back["q1"], 99)


def test_replies_come_one_after_the_other() -> None:
    two = (10.0, asked_back(10.0, 5)), (11.0, asked_back(11.0, 6))
    assert moves_of(state_of(*two).asked_back["q1"]) == [(2, 2)]
    replied = state_of(*two, (12.0, reply(5))).asked_back["q1"]
    assert moves_of(replied) == [(2, 2), (4, 7), (3, 3)]
    assert max(moves_of(replied)) == (4, 7), "whoever has replied to the first goes on"
    assert moves_of([]) == []


def test_an_earlier_release_folds_the_state_again_from_the_log() -> None:
    assert state_of().form == FORM
    assert state_of((10.0, asked_back(10.0, 5))).form == FORM_WITH_ASK_BACKS
    assert FORM_WITH_ASK_BACKS in FORMS


def test_a_state_survives_being_parked() -> None:
    state = state_of((10.0, asked_back(10.0, 5)), (20.0, reply(5)), stops=True)
    data = msgspec.json.encode(state)
    assert msgspec.json.decode(data, type=RunState) == state


# -- the clock ---------------------------------------------------------------------------------


def test_by_default_the_clock_runs_on() -> None:
    state = state_of((10.0, asked_back(10.0, 5)), (20.0, reply(5)))
    assert (question(state).deadline, question(state).stopped_at) == (GIVEN, 0.0)


def test_while_the_clock_is_stopped_the_deadline_is_the_latest_possible() -> None:
    state = state_of((600.0, asked_back(600.0, 5)), stops=True, rungs=True)
    assert (question(state).stopped_at, question(state).deadline) == (600.0, 2 * GIVEN)
    assert [rung.at for rung in state.ladders["q1"].rungs] == [HOUR * 1.25, HOUR * 1.5]
    early = Expired(id="q1", due=GIVEN)
    assert conflicts(state, early)
    fold(state, 3, Envelope(op="3", at=GIVEN, cause=1, records=[early]))
    assert question(state).status == "open", "the old deadline has fired"
    assert not conflicts(state, Expired(id="q1", due=2 * GIVEN))


def test_a_reply_moves_the_deadline_and_the_rungs_by_the_time_it_took() -> None:
    told = (600.0, asked_back(600.0, 5)), (900.0, reply(5))
    state = state_of(*told, stops=True, rungs=True)
    assert question(state).deadline == GIVEN + 300
    assert (question(state).stopped_at, question(state).lent) == (0.0, 0.0)
    assert [rung.at for rung in state.ladders["q1"].rungs] == [HOUR / 4 + 300, HOUR / 2 + 300]
    assert not conflicts(state, Expired(id="q1", due=GIVEN + 300))
    assert conflicts(state, Expired(id="q1", due=GIVEN))


def test_a_rung_that_was_reached_stays_where_it_was() -> None:
    told = (HOUR / 4, Reached(id="q1", rung=0)), (1_000.0, asked_back(1_000.0, 5))
    state = state_of(*told, (1_100.0, reply(5)), stops=True, rungs=True)
    assert [rung.at for rung in state.ladders["q1"].rungs] == [HOUR / 4, HOUR / 2 + 100]


def test_the_clock_is_stopped_until_everything_has_a_reply() -> None:
    two = (600.0, asked_back(600.0, 5)), (700.0, asked_back(700.0, 6))
    one = state_of(*two, (800.0, reply(6)), stops=True)
    assert question(one).stopped_at == 600.0
    both = state_of(*two, (800.0, reply(6)), (900.0, reply(5)), stops=True)
    assert question(both).deadline == GIVEN + 300


def test_the_clock_is_stopped_for_no_longer_than_the_questions_own_time() -> None:
    state = state_of((10.0, asked_back(10.0, 5)), (9 * HOUR, reply(5)), stops=True)
    assert question(state).deadline == 2 * GIVEN
    fold(state, 4, Envelope(op="4", at=9.0, cause=1, records=[asked_back(20.0, 6)]))
    assert question(state).deadline == 2 * GIVEN, "nothing is left"


@given(
    times=st.lists(st.tuples(st.floats(0, HOUR), st.floats(0, HOUR)), max_size=MOST),
    stops=st.booleans(),
)
def test_whatever_is_asked_the_deadline_moves_later_and_not_beyond_the_limit(
    times: list[tuple[float, float]], *, stops: bool
) -> None:
    told: list[tuple[float, Record]] = []
    now = 1.0
    for seq, (pause, took) in enumerate(times, 1):
        now += pause
        told.append((now, asked_back(now, seq)))
        now += took
        told.append((now, reply(seq)))
    state = state_of(*told, stops=stops)
    after = question(state)
    assert GIVEN <= after.deadline <= 2 * GIVEN + 0.01
    assert after.deadline == pytest.approx(GIVEN + after.stood, abs=0.01)
    assert not after.stopped_at
    assert stops or after.deadline == GIVEN


# -- what others see ---------------------------------------------------------------------------


def test_a_confidential_question_shows_that_somebody_asked_and_not_what() -> None:
    state = state_of((10.0, asked_back(10.0, 5)), (20.0, reply(5)))
    question(state).confidential = True
    shown = parked_question(state, question(state))
    assert shown.asked_back == (), "the record of a ticket does not grow with it"
    whole = msgspec.structs.replace(shown, asked_back=shown_ask_backs(state, question(state)))
    [each] = veiled(whole).asked_back
    assert (each.by, each.text, each.reply, bool(each.replied_at)) == ("ada", "", "", True)


def test_a_card_shows_what_was_asked_back_unless_that_is_confidential() -> None:
    state = state_of((10.0, asked_back(10.0, 5)), (20.0, reply(5)))
    [shown] = card_of(state, question(state), Place("developer"), Names()).asked_back
    assert (shown.by, shown.text, shown.reply, shown.status) == ("ada", "Why?", "So.", "replied")
    question(state).confidential = True
    [veiled_] = card_of(state, question(state), Place("developer"), Names()).asked_back
    assert (veiled_.by, veiled_.text, veiled_.reply) == ("ada", "", "")


@pytest.mark.parametrize("hostile", [{"by": "a.b"}, {"at": "now"}, {"replied_at": "x"}])
def test_a_forged_row_cannot_be_read(hostile: dict[str, str]) -> None:
    good: dict[str, Any] = {"by": "ada", "at": "2026-11-29T12:00:00.000Z"}
    assert ShownAskBack(**good).text == ""
    forged: dict[str, Any] = {**good, **hostile}
    with pytest.raises(ValueError, match=r"isoformat|word|name"):
        ShownAskBack(**forged)


def test_a_request_for_a_reply_is_no_step_that_a_body_must_reach() -> None:
    key = request_key("tool#0.0/ask", 17)
    assert is_request(key)
    assert not is_request("tool#0.0/ask")
    state = state_of()
    state.root.slots[key] = state.root.slots["ask"]
    assert expected(state.root) == {"ask"}


# -- replies -----------------------------------------------------------------------------------

ABOUT = AskBack(text="Why?", by="ada", question_id="q1", question="Known?")
AT_ONCE = Retry(attempts=3, first=0.001)


async def told_by(function: Any, retry: Retry = AT_ONCE) -> Explained:
    return await explaining.reply(explaining.of_code(function), ABOUT, "key", retry)


async def test_a_reply_is_tried_as_often_as_the_policy_says() -> None:
    tries: list[str] = []

    async def fails_twice(asked: AskBack) -> str:
        tries.append(asked.text)
        if len(tries) < 3:
            raise RuntimeError("busy")
        return " So. "

    assert await told_by(fails_twice) == Explained("So.")
    tries.clear()
    failed = await told_by(fails_twice, Retry(attempts=2, first=0.001))
    assert (failed.failed, failed.text) == (True, "it was tried 2 times, and failed: busy")


async def test_what_cannot_succeed_is_tried_once_and_an_exit_is_a_failure() -> None:
    def final(_: AskBack) -> str:
        raise NonRetriableError("no")

    def leaves(_: AskBack) -> str:
        raise SystemExit(3)

    assert (await told_by(final)).text == "it was tried once, and failed: no"
    assert (await told_by(leaves)).failed


async def test_a_reply_that_cannot_be_written_is_made_writable() -> None:
    def says(text: str) -> Callable[[AskBack], str]:
        return lambda asked: text[: len(text) * bool(asked.by)]

    assert (await told_by(says("a\ud800b"))).text == "a?b"
    assert len((await told_by(says("x" * 9_999))).text) == LONGEST_REPLY


async def test_a_cancelled_reply_is_not_a_failure() -> None:
    async def hangs(_: AskBack) -> str:
        await asyncio.Event().wait()
        return ""

    task = asyncio.create_task(told_by(hangs))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("wrong", ["support", "person:ada", "role:", 7])
def test_a_replier_is_a_role_or_a_function(wrong: Any) -> None:
    with pytest.raises(InvalidSetup, match="role:support"):
        explaining.role_in(wrong)
    assert explaining.role_in("role:support") == "support"
    assert explaining.role_in(None) == ""


def test_a_model_sees_its_calls_as_waiting_and_may_call_nothing() -> None:
    calls = [ToolCall(id=f"c{n}", name="ask", arguments={}) for n in (1, 2)]
    request = ModelRequest(
        system="s",
        messages=[
            Message(role="user", parts=[Text(text="Go.")]),
            Message(role="assistant", parts=list(calls)),
        ],
        tools=[ToolSpec(name="ask", description="", parameters={})],
        tool_choice="ask",
        max_tokens=9_000,
    )
    sent = request_for(request, ABOUT)
    assert sent.messages[:2] == request.messages
    assert (sent.tool_choice, sent.max_tokens, sent.tools) == ("none", 1_000, request.tools)
    *waiting, text = sent.messages[2].parts
    assert [part.id for part in waiting if isinstance(part, ToolResult)] == ["c1", "c2"]
    assert isinstance(text, Text)
    assert "ada asks you: Why?" in text.text
    assert request_for(msgspec.structs.replace(request, tools=[]), ABOUT).tool_choice == "auto"
