"""What `layby.testing` lets come early, and the model that plays a test's script."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import Any

import pytest

from layby import App
from layby.actors.models.model import Message, ModelError, ModelRequest, Text
from layby.runtime.entry import ROOT
from layby.runtime.state import NEVER, Frame, Question, RunState, Slot
from layby.testing import ScriptedModel, calls, says
from layby.testing.repeats import RunsAgain, warn_of
from layby.testing.wake_ups import first, named, timeouts, wake_ups


def question(ref: str, deadline: float, **more: Any) -> Question:
    about: dict[str, Any] = {"role": "lead", "question": f"{ref}?", "asked_at": 1.0}
    return Question(id=ref, frame=ROOT, key=ref, deadline=deadline, **{**about, **more})


def state(**slots: Slot) -> RunState:
    found = RunState(id="r1", workflow="pay", ticket="T1", status="waiting", started_at=100.0)
    found.frames[ROOT] = Frame(id=ROOT, actor="workflow-pay")
    found.frames[ROOT].slots.update(slots)
    return found


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def test_a_run_waits_for_deadlines_sleeps_and_back_offs() -> None:
    run = state(nap=Slot(kind="sleep", wake_at=300.0), pay=Slot(kind="step", wake_at=200.0))
    run.questions = {"q1": question("q1", 500.0), "q2": question("q2", 5.0, status="answered")}
    found = {each.fired.name: each for each in wake_ups(run)}
    assert set(found) == {"q1?", "nap", "pay"}
    assert found["q1?"].fired == ("question", "q1?", moment(500.0))
    body = found["q1?"].body
    assert (body.kind, body.question, body.role, body.ticket) == ("question", "q1", "lead", "T1")
    assert body.early
    assert found["nap"].fired == ("sleep", "nap", moment(300.0))
    assert (found["nap"].body.kind, found["nap"].body.at) == ("wake", 300.0)


@pytest.mark.parametrize(
    "slot",
    [
        Slot(kind="sleep", wake_at=300.0, settled=4),
        Slot(kind="event", wake_at=NEVER),
        Slot(kind="step", wake_at=0.0),
    ],
)
def test_what_is_over_or_never_comes_is_not_waited_for(slot: Slot) -> None:
    assert wake_ups(state(nap=slot)) == []


def test_nothing_comes_to_what_is_over() -> None:
    done = state(nap=Slot(kind="sleep", wake_at=300.0))
    done.frames[ROOT].done = True
    assert wake_ups(done) == []
    ended = state(nap=Slot(kind="sleep", wake_at=300.0))
    ended.status = "completed"
    assert wake_ups(ended) == []


def test_the_earliest_of_its_kind_comes_first() -> None:
    run = state(nap=Slot(kind="sleep", wake_at=300.0), pay=Slot(kind="step", wake_at=200.0))
    found = wake_ups(run)
    earliest, sleep = first(found, None), first(found, "sleep")
    assert earliest is not None
    assert sleep is not None
    assert (earliest.fired.name, sleep.fired.name) == ("pay", "nap")
    assert first(found, "question") is None


def test_a_wake_up_is_known_again_by_what_it_is_for() -> None:
    nap, pay = wake_ups(
        state(nap=Slot(kind="sleep", wake_at=300.0), pay=Slot(kind="step", wake_at=300.0))
    )
    assert nap.is_for(nap.body)
    assert not nap.is_for(pay.body)
    asked = state()
    asked.questions = {"q1": question("q1", 500.0), "q2": question("q2", 500.0)}
    one, other = wake_ups(asked)
    assert one.is_for(one.body)
    assert not one.is_for(other.body)
    assert not one.is_for(nap.body)


def app(timeout: str | None) -> App:
    found = App("desk")

    @found.workflow(on="a.b", key="id", timeout=timeout)
    async def pay(event: dict[str, str]) -> None: ...

    return found


def test_a_timeout_comes_when_the_time_without_people_is_over() -> None:
    run = state()
    run.people_took = 20.0
    [found] = timeouts(app("60s"), run)
    assert found.fired == ("timeout", "pay", moment(180.0))
    assert (found.body.kind, found.body.limit) == ("run", 60.0)


def test_a_timeout_does_not_come_while_people_are_asked_or_when_it_is_over() -> None:
    asking = state()
    asking.asking_since = 150.0
    ended = state()
    ended.status = "completed"
    for run in (asking, ended):
        assert timeouts(app("60s"), run) == []
    assert timeouts(app(None), state()) == []
    assert timeouts(App("other"), state()) == []


def test_what_a_test_waits_for_is_said_in_words() -> None:
    assert named(None) == "a deadline, sleep, back-off or timeout"
    assert named("question") == "a question's deadline"
    assert named("sleep") == "a sleep"


def request(text: str) -> ModelRequest:
    message = Message(role="user", parts=[Text(text=text)])
    return ModelRequest(system="", messages=[message], tools=[])


async def test_a_script_is_played_in_order_and_its_requests_are_kept() -> None:
    model = ScriptedModel(["one", says("two"), lambda asked: asked.messages[0].text.upper()])
    heard: list[str] = []
    assert model.left == 3
    texts = [(await model.respond(request(f"r{n}"), heard.append)).message.text for n in range(3)]
    assert texts == ["one", "two", "R2"]
    assert model.left == 0
    assert [each.messages[0].text for each in model.requests] == ["r0", "r1", "r2"]


async def test_a_text_is_heard_word_by_word_and_nothing_is_lost() -> None:
    heard: list[str] = []
    await ScriptedModel(["  two words\nand more "]).respond(request("x"), heard.append)
    assert heard == ["  ", "two ", "words\n", "and ", "more "]


async def test_an_error_in_the_script_is_raised_and_the_script_goes_on() -> None:
    model = ScriptedModel([TimeoutError("busy"), "fine"])
    with pytest.raises(TimeoutError, match="busy"):
        await model.respond(request("x"))
    assert (await model.respond(request("x"))).message.text == "fine"


async def test_a_script_at_its_end_says_what_it_was_asked_and_how_often() -> None:
    model = ScriptedModel(["one"], name="claude")
    await model.respond(request("first"))
    with pytest.raises(ModelError, match=r"'claude' is at its end, .* the 2\. time") as raised:
        await model.respond(request("second" * 1_000))
    assert "second" in str(raised.value)
    assert len(str(raised.value)) <= 1_100


async def test_a_function_follows_from_each_request_and_never_ends() -> None:
    model = ScriptedModel(lambda asked: f"said {asked.messages[-1].text}")
    assert model.left == 0
    for n in range(3):
        assert (await model.respond(request(str(n)))).message.text == f"said {n}"


def test_several_tools_are_called_at_once_with_ids_of_their_own() -> None:
    made = calls(("search", {"query": "x"}), ("search", {"query": "y"}))
    found = [(each.id, each.name, each.arguments) for each in made.message.tool_calls]
    assert found == [
        ("call_0_search", "search", {"query": "x"}),
        ("call_1_search", "search", {"query": "y"}),
    ]
    assert made.stop_reason == "tool_use"


def test_each_tool_that_ran_twice_is_named_in_order() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of({"pay", "mail"})
    assert [each.category for each in caught] == [RunsAgain, RunsAgain]
    assert [str(each.message).split("'")[1] for each in caught] == ["mail", "pay"]
