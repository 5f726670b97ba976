"""Changes of a state: what clashes, what is refused, whose are seen, and who waits for whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, Field

from layby.actors.agents.ledger import Ledger
from layby.actors.agents.turnstile import Touch, Tries, Turnstile
from layby.actors.state.merge import Change, Refusal, merge
from layby.actors.state.patch import Op, applied, as_json, clash, diff, same
from layby.actors.state.state import OWN, SHARED, StateType, Values, located, whole
from layby.runtime.errors import InvalidSetup
from layby.runtime.state import Slot
from layby.runtime.values import BadValue
from layby.tools.errors import ToolError


def put(path: str, value: Any = 1) -> Op:
    return Op(op="set", path=path.split("."), value=value)


def more(path: str, *items: Any) -> Op:
    return Op(op="append", path=path.split("."), value=list(items))


def change(key: str, *ops: Op, seen: str = "", is_whole: bool = False) -> Change:
    return Change(key, key.upper(), list(ops), frozenset(seen), is_whole)


class Limited(BaseModel):
    n: int = Field(default=0, le=10)
    m: int = 0


# -- operations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "ops"),
    [
        ({}, {"a": 1}, [put("a")]),
        ({"a": 1}, {}, [Op(op="remove", path=["a"])]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [put("a.c", 3)]),
        ({"a": [1]}, {"a": [1, 2, 3]}, [more("a", 2, 3)]),
        ({"a": [1, 2]}, {"a": [2]}, [put("a", [2])]),
        ({"a": [1]}, {"a": {"b": 1}}, [put("a", {"b": 1})]),
        ({"a": {"b": 1}}, {"a": 1}, [put("a", 1)]),
        ({"a": 1}, {"a": True}, [put("a", value=True)]),
        ({"a": {"x": 1}}, {"a": {"y": 1}}, [Op(op="remove", path=["a", "x"]), put("a.y")]),
    ],
)
def test_a_change_is_as_small_as_it_can_be(before: Any, after: Any, ops: list[Op]) -> None:
    assert diff(before, after) == ops
    assert same(applied(before, ops), after)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}),
        ([1], [1, 2]),
        ([1, 2], [2, 1]),
        ([], {}),
        ("1", 1),
        (None, False),
    ],
)
def test_different_json_is_not_the_same_at_any_depth(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same(other, one)
    assert not same({"x": [one]}, {"x": [other]})
    assert same({"x": [one]}, {"x": [one]})


def test_a_path_through_what_is_no_object_makes_one() -> None:
    assert applied({"a": 7}, [put("a.b.c")]) == {"a": {"b": {"c": 1}}}
    assert applied({"a": 7}, [more("a", 1)]) == {"a": [1]}
    assert applied({}, [Op(op="remove", path=["a", "b"])]) == {"a": {}}


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        (put("a"), put("b"), None),
        (put("a.b"), put("a.c"), None),
        (put("a"), put("a"), "a"),
        (put("a"), put("a.b"), "a.b"),
        (put("a.b.c"), put("a"), "a.b.c"),
        (more("a", 1), more("a", 2), None),
        (more("a", 1), put("a"), "a"),
        (more("a", 1), more("a.b", 2), "a.b"),
    ],
)
def test_two_operations_clash_where_one_is_within_the_other(
    one: Op, other: Op, path: str | None
) -> None:
    wanted = None if path is None else path.split(".")
    assert clash(one, [other]) == wanted
    assert clash(other, [one]) == wanted
    assert clash(one, [put("z"), other]) == wanted


def test_what_has_no_json_is_no_state() -> None:
    with pytest.raises(BadValue):
        as_json({"a": object()})


# -- merging ----------------------------------------------------------------------------------

PLAIN = StateType()


def merged(*changes: Change, base: Any = None, kind: StateType = PLAIN) -> tuple[Any, list[str]]:
    found = merge(base if base is not None else {SHARED: {}, OWN: {}}, changes, kind)
    return found.values[SHARED], sorted(found.refused)


def at(*ops: Op) -> tuple[Op, ...]:
    return tuple(located(list(ops), []))


def test_a_change_that_saw_the_other_may_set_the_same_path() -> None:
    one, unseen = change("a", *at(put("x", 1))), change("b", *at(put("x", 2)))
    seeing = change("b", *at(put("x", 2)), seen="a")
    assert merged(one, seeing) == ({"x": 2}, [])
    assert merged(one, unseen) == ({"x": 1}, ["b"])


def test_what_is_built_on_a_refused_change_is_refused_too() -> None:
    one, two = change("a", *at(put("x", 1))), change("b", *at(put("x", 2), put("y", 2)))
    three = change("c", *at(put("y", 3)), seen="ab")
    assert merged(one, two, three) == ({"x": 1}, ["b", "c"])
    apart = change("c", *at(put("z", 3)), seen="ab")
    assert merged(one, two, apart) == ({"x": 1, "z": 3}, ["b"])


def test_a_refused_change_is_refused_as_a_whole() -> None:
    one, two = change("a", *at(put("x"))), change("b", *at(put("new"), put("x", 2)))
    assert merged(one, two) == ({"x": 1}, ["b"])


def test_whole_values_of_an_earlier_release_always_count() -> None:
    one = change("a", *at(put("x", 1)))
    old = change("b", *located(whole({"x": 2}), []), is_whole=True)
    assert merged(one, old) == ({"x": 2}, [])


def test_two_changes_that_do_not_fit_together_are_not_both_kept() -> None:
    kind = StateType(Limited)
    base = {SHARED: {"n": 0, "m": 0}, OWN: {}}
    too_much = change("b", *at(put("n", 11)))
    found = merge(base, [change("a", *at(put("m", 1))), too_much], kind)
    assert found.values[SHARED] == {"n": 0, "m": 1}
    text = str(found.refused["b"])
    assert text.startswith("it does not fit what A changed in the meantime: n: ")


@pytest.mark.parametrize(
    ("path", "shown"), [(["state", "a", "b"], "a.b"), (["agent_state", "a"], "agent_state.a")]
)
def test_a_refusal_says_who_changed_what(path: list[str], shown: str) -> None:
    assert str(Refusal("B", path, "A")) == f"A changed `{shown}` in the meantime"


# -- the type of a state ----------------------------------------------------------------------


def test_a_state_begins_with_its_defaults_and_must_fit() -> None:
    kind = StateType(Limited)
    assert kind.opening(None) == {"n": 0, "m": 0}
    assert kind.opening({"n": 3}) == {"n": 3, "m": 0}
    assert kind.completed({"n": 3}) == {"n": 3, "m": 0}
    assert kind.completed({"n": 99}) == {"n": 99}, "what does not fit is reported when it is shown"
    assert (PLAIN.opening(None), PLAIN.opening({"a": 1})) == ({}, {"a": 1})
    with pytest.raises(InvalidSetup, match="the initial state does not fit: n: "):
        kind.opening({"n": 11})
    with pytest.raises(ToolError, match="the state no longer fits: n: "):
        kind.plain(Limited.model_construct(n=11))
    for wanted in (int, list[int]):
        with pytest.raises(InvalidSetup, match="a state needs named fields"):
            StateType(wanted)


# -- the changes of one response ----------------------------------------------------------------


def ledger(shared: Any = None, **slots: Slot) -> Ledger:
    return Ledger(Values(PLAIN, shared or {}), slots.get)


def settled(n: int, place: int = 0) -> Slot:
    return Slot(kind="step", settled=n, place=place)


def test_changes_count_in_the_order_of_the_log_and_not_of_the_calls() -> None:
    found = ledger(a=settled(9), b=settled(4), c=settled(4, 1), d=Slot(kind="step"))
    for key in "dacb":
        found.note(change(key, *at(more("x", key))))
    assert found.merged().values[SHARED] == {"x": ["b", "c", "a", "d"]}


def test_whole_values_come_first_in_the_order_of_the_calls() -> None:
    found = ledger(a=settled(1), b=settled(9), c=settled(2))
    found.note(change("a", *at(more("x", "a")), seen="bc"))
    found.note(change("b", *at(put("x", ["b"])), is_whole=True))
    found.note(change("c", *at(put("x", ["c"])), is_whole=True))
    assert found.merged().values[SHARED] == {"x": ["c", "a"]}


def test_a_change_is_noted_once_and_can_be_left_out() -> None:
    found = ledger()
    found.note(change("a", *at(put("x", 1))))
    found.note(change("a", *at(put("x", 2))))
    assert found.merged().values[SHARED] == {"x": 1}
    assert found.view().seen == {"a"}
    found.forget("a")
    found.forget("a")
    assert found.merged().values[SHARED] == {}


def test_a_view_is_a_copy_whose_changes_can_be_told() -> None:
    found = ledger({"x": {"y": 1}})
    view = found.view()
    assert not view.is_changed
    view.state["x"]["y"] = 2
    view.agent_state["seen"] = True
    assert view.is_changed
    assert view.changes() == ([put("x.y", 2)], [put("seen", value=True)])
    assert view.changes({"z": 1}, {"own": 2}) == (
        [put("x.y", 2), put("z")],
        [put("seen", value=True), put("own", 2)],
    )
    assert found.view().state == {"x": {"y": 1}}
    view.state["x"] = object()
    assert view.is_changed, "it cannot be determined"


# -- taking turns -----------------------------------------------------------------------------


async def test_a_call_that_has_changed_the_state_makes_the_others_wait() -> None:
    found, turnstile = ledger(), Turnstile()
    order: list[str] = []

    async def adds(name: str, touch: Touch, *, changes: bool) -> None:
        state = touch.open().state
        if changes:
            state[name] = 1
        order.append(f"{name} begins")
        await asyncio.sleep(0)
        order.append(f"{name} ends")

    with Tries(found, turnstile) as one, Tries(found, turnstile) as two:
        first, second = one.begin(), two.begin()
        work = asyncio.ensure_future(first.during(adds("a", first, changes=True)))
        await asyncio.sleep(0)
        later = asyncio.ensure_future(second.during(adds("b", second, changes=False)))
        await work
        assert (turnstile.is_held(first), turnstile.is_shut(second)) == (True, True)
        assert order == ["a begins", "a ends"]
        first.close()
        await later
    assert order == ["a begins", "a ends", "b begins", "b ends"]
    assert not turnstile.is_held(first)


async def test_a_call_that_changes_nothing_keeps_nobody_waiting_and_one_that_fails_lets_go() -> (
    None
):
    found, turnstile = ledger(), Turnstile()
    with Tries(found, turnstile) as tries:
        reader, writer = tries.begin(), tries.begin()

        async def reads() -> None:
            reader.open()
            await asyncio.sleep(0)

        async def fails() -> None:
            writer.open().state["x"] = 1
            await asyncio.sleep(0)
            raise OSError("down")

        await reader.during(reads())
        assert not turnstile.is_held(reader)
        with pytest.raises(OSError, match="down"):
            await writer.during(fails())
        assert not turnstile.is_held(writer)
        assert writer.view is None
        late = writer.open()
        late.state["x"] = 2
        writer.pause()
        assert not turnstile.is_held(writer), "what outlives its call does not count"
