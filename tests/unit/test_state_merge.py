"""Changes to a state: found, written down, merged, and read from the logs of earlier releases."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired

import msgspec
import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, SkipValidation
from typing_extensions import TypedDict

from layby import Agent, ToolContext, tool
from layby.actors.agents.tool_calls import Calls
from layby.actors.keys import TOOL, Key
from layby.actors.state.merge import Change, StateConflict
from layby.actors.state.patch import Op, applied, diff, same
from layby.actors.state.state import OWN, SHARED, StateType, Values, located
from layby.actors.threads.progress import Played, Progress
from layby.actors.threads.turn import Decision, TurnResult
from layby.models import ToolCall
from layby.runtime.actor_step import ActorStep
from layby.runtime.entry import ROOT, Stepped
from layby.runtime.errors import InvalidSetup
from layby.runtime.memory import MemoryPorts, WholeValues
from layby.runtime.strand import entering
from tests.chaos.state_trials import LogRecorder, SharedLog

leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text(max_size=2)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)
states = st.dictionaries(st.text(max_size=2), values, max_size=4)


@given(states, states)
def test_a_change_leads_from_one_state_to_the_other(before: Any, after: Any) -> None:
    copy = msgspec.json.decode(msgspec.json.encode(before))
    ops = msgspec.json.decode(msgspec.json.encode(diff(before, after)), type=list[Op])
    assert same(applied(before, ops), after)
    assert same(before, copy)


@given(states)
def test_equal_states_have_no_changes(state: Any) -> None:
    assert diff(state, msgspec.json.decode(msgspec.json.encode(state))) == []


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (1, 1.0), ([1], [True])])
def test_numbers_and_booleans_are_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)


# -- reducers ----------------------------------------------------------------------------------


def longest(current: list[str], written: list[str]) -> list[str]:
    return max(current, written, key=len)


class Model(BaseModel):
    both: Annotated[list[str], operator.add] = []
    checked: Annotated[int, Ge(0), AfterValidator(abs), longest, Field(le=9)] = 0
    plain: Annotated[int, Ge(0), AfterValidator(abs)] = 0
    free: Annotated[int, SkipValidation] = 0


@dataclass
class Data:
    both: Annotated[list[str], operator.add] = field(default_factory=list[str])
    plain: int = 0


class Typed(TypedDict):
    both: NotRequired[Annotated[list[str], operator.add]]


@pytest.mark.parametrize("wanted", [Model, Data, Typed])
def test_two_writes_to_a_field_with_a_reducer_are_merged(wanted: Any) -> None:
    kind = StateType(wanted)
    changes = [
        Change(key=k, who=k, ops=located(kind.changes({"both": []}, {"both": [k]}), []))
        for k in "ab"
    ]
    merged = Values(kind, {"both": []}).merged(changes)
    assert (merged.values[SHARED]["both"], merged.refused) == (["a", "b"], {})


def test_pydantics_own_annotations_are_not_reducers() -> None:
    kind = StateType(Model)
    assert [op.op for op in kind.changes({"plain": 0, "free": 0}, {"plain": 1, "free": 1})] == [
        "set",
        "set",
    ]
    assert [op.op for op in kind.changes({"checked": 0}, {"checked": 1})] == ["merge"]


def test_a_reducer_that_fails_refuses_the_later_change() -> None:
    kind = StateType(Model)
    changes = [
        Change(key=k, who=k, ops=located(kind.changes({"checked": 0}, {"checked": n}), []))
        for n, k in enumerate("ab", 1)
    ]
    merged = Values(kind, Model().model_dump()).merged(changes)
    assert merged.values[SHARED]["checked"] == 1
    assert "its reducer failed: object of type 'int' has no len()" in str(merged.refused["b"])


async def _later(current: int, written: int) -> int:
    return current + written


def divmod_and_more(one: int, two: int, three: int, four: int) -> int:
    return one + two + three + four


@pytest.mark.parametrize("function", [_later, abs, divmod_and_more])
def test_a_bad_reducer_is_refused_at_once(function: Any) -> None:
    class Bad(BaseModel):
        n: Annotated[int, function] = 0

    with pytest.raises(InvalidSetup, match="reducer of field 'n'"):
        StateType(Bad)


def test_two_reducers_of_one_field_are_refused_at_once() -> None:
    class Bad(BaseModel):
        n: Annotated[int, operator.add, operator.mul] = 0

    with pytest.raises(InvalidSetup, match="field 'n' of the state has 2 reducers"):
        StateType(Bad)


# -- what earlier releases recorded ------------------------------------------------------------


@tool
async def count(ctx: ToolContext) -> int:
    """Count."""
    ctx.state["n"] = ctx.state.get("n", 0) + 1
    return int(ctx.state["n"])


async def test_whole_values_of_an_earlier_release_count_as_they_did() -> None:
    log = SharedLog(())
    for place, n in ((1, 5), (0, 7)):  # recorded in another order than called
        result = {"content": f"{n}", "state": {"n": n, f"k{place}": place}, "agent_state": {"m": n}}
        raw = msgspec.Raw(msgspec.json.encode(result))
        log.append([Stepped(frame=ROOT, key=f"tool#0.{place}", result=raw)])

    async def at_once() -> None:
        pass

    step = ActorStep(LogRecorder(log, {2}, at_once), MemoryPorts(blobs=WholeValues()))
    calls = {
        Key(TOOL, 0, place): ToolCall(id=f"{place}", name="count", arguments={})
        for place in range(3)
    }
    states = Values(StateType(), {"n": 0})
    with entering(0, 0):
        outcomes = await Calls(Agent("A", tools=[count]), step, "net", states).respond(calls, None)
    assert [each.content for each in outcomes] == ["7", "5", "6"]
    assert states.both == {SHARED: {"n": 6, "k0": 0, "k1": 1}, OWN: {"m": 5}}


def test_turns_and_decisions_of_an_earlier_release_count_as_they_did() -> None:
    progress = Progress(StateType(), {"n": 0})
    progress.decided(Decision(state={"n": 1}))
    assert progress.values == {"n": 1}
    progress.played(
        [
            Played(9, TurnResult(agent="A", state={"n": 2, "a": 1}, agent_state={"m": 1})),
            Played(8, TurnResult(agent="B", state={"n": 3}, agent_state={"m": 2})),
        ]
    )
    assert progress.values == {"n": 3, "a": 1}
    assert progress.agent_states == {"A": {"m": 1}, "B": {"m": 2}}


def test_parallel_turns_are_merged_in_the_order_of_the_log() -> None:
    def turn(name: str, after: dict[str, Any]) -> TurnResult:
        return TurnResult(agent=name, state=after, changes=diff({"l": []}, after))

    progress = Progress(StateType(), {"l": []})
    progress.played([Played(9, turn("A", {"l": ["a"]})), Played(8, turn("B", {"l": ["b"]}))])
    assert progress.values == {"l": ["b", "a"]}
    assert [each.agent for each in progress.turns] == ["A", "B"]
    with pytest.raises(StateConflict, match="agent 'D' and agent 'C' ran in parallel"):
        progress.played([Played(11, turn("D", {"l": 1})), Played(10, turn("C", {"l": 1}))])


def test_a_reducer_that_a_field_gets_later_settles_an_old_conflict() -> None:
    turns = [
        Played(n, TurnResult(agent=name, changes=diff({"both": ["x"]}, {"both": [name]})))
        for n, name in enumerate("AB")
    ]
    with pytest.raises(StateConflict):
        Progress(StateType(), {"both": ["x"]}).played(turns)
    progress = Progress(StateType(Data), {"both": ["x"]})
    progress.played(turns)
    assert progress.values["both"] == ["A", "B"]
