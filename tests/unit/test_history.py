"""What an agent sees of earlier turns, under each policy."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby import Past, TurnResult, last_n, token_budget
from layby.actors.threads.history import History, Policy, repaired, say
from layby.actors.threads.thread import earlier_of
from layby.actors.threads.turn import Said
from layby.models import Message, Text, ToolCall, ToolResult
from layby.runtime.errors import InvalidSetup

TASK = "Do it"


def call(n: int) -> ToolCall:
    return ToolCall(id=str(n), name="look", arguments={"n": n})


def result(n: int) -> ToolResult:
    return ToolResult(id=str(n), name="look", content=f"saw {n}")


def turn(agent: str, n: int) -> TurnResult:
    messages = [
        Message(role="assistant", parts=[call(n)]),
        Message(role="user", parts=[result(n)]),
        Message(role="assistant", parts=[Text(text=f"{agent} said {n}")]),
    ]
    return TurnResult(agent=agent, text=f"{agent} said {n}", messages=messages)


PAST = Past(agent="A", input=TASK, turns=[turn("A", 1), turn("B", 2), turn("A", 3), turn("B", 4)])


async def seen(policy: History, past: Past = PAST) -> list[str]:
    """The turns that a policy shows: their numbers, and how the messages begin."""
    messages = await past.messages(policy)
    assert messages[0].text.startswith(TASK)
    assert_valid(messages)
    text = " ".join(str(message) for message in messages[1:])
    shown = [f"{t.agent}{n}" for n, t in enumerate(past.turns, 1) if f"said {n}" in text]
    return [messages[0].text.removeprefix(TASK).strip(), *shown]


def assert_valid(messages: list[Message]) -> None:
    """As the Messages API wants them."""
    assert messages[0].role == messages[-1].role == "user"
    for place, message in enumerate(messages):
        wanted = {c.id for c in message.tool_calls}
        after = messages[place + 1].parts if place + 1 < len(messages) else []
        given_ = {p.id for p in after if isinstance(p, ToolResult)}
        assert wanted <= given_
        before = messages[place - 1].tool_calls if place else []
        results = {p.id for p in message.parts if isinstance(p, ToolResult)}
        assert results <= {c.id for c in before}


async def test_shared_and_own() -> None:
    assert await seen("shared") == ["", "A1", "B2", "A3", "B4"]
    assert await seen("own") == ["", "A1", "A3"]


async def test_own_turns_are_complete_and_others_are_retold() -> None:
    messages = await PAST.messages("shared")
    assert [m.role for m in messages] == [
        *("user", "assistant", "user", "assistant", "user"),
        *("assistant", "user", "assistant", "user"),
    ]
    assert messages[4].text.startswith("[B took a turn.]")


async def test_the_latest_turns() -> None:
    assert await seen(last_n(2)) == ["[2 earlier turns are left out.]", "A3", "B4"]
    assert await seen(last_n(9)) == ["", "A1", "B2", "A3", "B4"]
    assert await seen(last_n(0)) == ["[4 earlier turns are left out.]"]


async def test_a_token_budget() -> None:
    assert await seen(token_budget(0)) == ["[4 earlier turns are left out.]"]
    assert await seen(token_budget(40)) == ["[3 earlier turns are left out.]", "B4"]
    assert await seen(token_budget(9_000)) == ["", "A1", "B2", "A3", "B4"]


@pytest.mark.parametrize("policy", [last_n, token_budget])
def test_bad_policies_are_refused(policy: Callable[[int], Policy]) -> None:
    with pytest.raises(InvalidSetup, match="give 0 or more"):
        policy(-1)


async def test_a_custom_policy_may_be_sync_or_async() -> None:
    def sync(past: Past) -> list[Message]:
        return past.transcript([t for t in past.turns if t.agent == "B"])

    async def not_sync(past: Past) -> list[Message]:
        return past.transcript(past.turns[:1], note="Only the first.")

    assert await seen(sync) == ["", "B2", "B4"]
    assert await seen(not_sync) == ["Only the first.", "A1"]


async def test_messages_that_a_policy_broke_are_repaired() -> None:
    def careless(past: Past) -> list[Message]:
        return past.transcript()[2:]  # begins with the result of a call that is gone

    assert_valid(await PAST.messages(careless))
    assert (await PAST.messages(lambda _past: []))[0].text == TASK


parts = st.one_of(
    st.builds(call, st.integers(0, 3)),
    st.builds(result, st.integers(0, 3)),
    st.builds(Text, text=st.sampled_from("ab")),
)
messages = st.builds(
    Message, role=st.sampled_from(["user", "assistant"]), parts=st.lists(parts, max_size=3)
)


@given(st.lists(messages, max_size=8))
def test_any_messages_become_valid_ones(given_: list[Message]) -> None:
    mended = repaired(given_, say(TASK))
    assert_valid(mended)
    assert repaired(mended, say(TASK)) == mended


def test_valid_messages_stay_as_they_are() -> None:
    whole = [say(TASK), *turn("A", 1).messages, say("Go on.")]
    assert repaired(whole, say(TASK)) == whole


def of_thread(*said: tuple[str, str], turns: int = 0) -> Past:
    """The past of A in a thread; the user is nobody."""
    before = [Said(key="k", at="", who=who, text=text) for who, text in said]
    return Past(agent="A", input=TASK, turns=PAST.turns[:turns], earlier=earlier_of(before, "A"))


THREAD = (("", "Q1"), ("A", "A1"), ("B", "B1"), ("", "Q2"), ("B", "B2"), ("", "Q3"), ("A", "A3"))


async def shown(policy: History, past: Past) -> list[str]:
    """What of the thread a policy shows, and how the task begins."""
    messages = await past.messages(policy)
    assert_valid(messages)
    place = next(n for n, m in enumerate(messages) if m.text.startswith(TASK))
    of = [m.text.rpartition("said: ")[2] for m in messages[:place]]
    return [*of, messages[place].text.removeprefix(TASK).strip()]


async def test_a_thread_is_shown_with_or_without_other_agents() -> None:
    everything = [text for _, text in THREAD]
    assert await shown("shared", of_thread(*THREAD)) == [*everything, ""]
    assert await shown("own", of_thread(*THREAD)) == ["Q1", "A1", "Q2", "Q3", "A3", ""]


async def test_the_latest_turns_are_counted_across_the_run_and_its_thread() -> None:
    assert await shown(last_n(2), of_thread(*THREAD)) == [
        *("Q2", "B2", "Q3", "A3"),
        "[2 earlier turns are left out.]",
    ]
    assert await shown(last_n(3), of_thread(*THREAD, turns=2)) == [
        *("Q3", "A3"),
        "[3 earlier turns are left out.]",
    ]
    assert await shown(last_n(2), of_thread(*THREAD, turns=2)) == [
        "[4 earlier turns are left out.]"
    ]


async def test_a_token_budget_applies_to_a_thread() -> None:
    long = [("" if n % 2 == 0 else "A", f"{n} {'word ' * 40}") for n in range(80)]
    for budget in (0, 60, 500, 4_000):
        messages = await of_thread(*long).messages(token_budget(budget))
        assert_valid(messages)
        assert len(msgspec.json.encode(messages)) / 4 <= budget + 30, budget
    newest = await of_thread(*long).messages(token_budget(500))
    assert [m.text.split()[0] for m in newest[:-1]] == ["74", "75", "76", "77", "78", "79"]
    assert newest[-1].text == f"{TASK}\n\n[37 earlier turns are left out.]"


async def test_a_custom_policy_limits_a_thread_too() -> None:
    past = of_thread(*THREAD)
    assert await shown(lambda p: p.transcript(before=p.before[-2:]), past) == ["Q3", "A3", ""]
    assert await shown(lambda p: p.transcript(), past) == [*(text for _, text in THREAD), ""]
    assert await shown(lambda _p: [say(f"{TASK} alone")], past) == ["alone"]
