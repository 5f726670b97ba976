"""Changes of a state as operations, and what is said when two of them clash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.state.merge import Change, Refusal, merge
from layby.actors.state.patch import Op, applied, clash, diff
from layby.actors.state.state import StateType, Values, located, whole

KINDS = st.sampled_from(["set", "remove", "append"])
OPS = st.builds(Op, op=KINDS, path=st.lists(st.sampled_from("abc"), min_size=1, max_size=3))


def at(*path: str, op: Any = "set", value: Any = 1) -> Op:
    return Op(op=op, path=list(path), value=value)


@pytest.mark.parametrize(
    ("before", "after", "ops"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({}, {"a": None}, [at("a", value=None)]),
        ({"a": None}, {}, [at("a", op="remove", value=None)]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}, [at("a", "b", value=3)]),
        ({"a": [1]}, {"a": [1, 2]}, [at("a", op="append", value=[2])]),
        ({"a": [1, 2]}, {"a": [2]}, [at("a", value=[2])]),
        ({"a": [1]}, {"a": [True, 2]}, [at("a", value=[True, 2])]),
        ({"a": {"b": 1}}, {"a": [1]}, [at("a", value=[1])]),
        ({"a": []}, {"a": {}}, [at("a", value={})]),
    ],
)
def test_a_change_says_no_more_than_what_changed(before: Any, after: Any, ops: list[Op]) -> None:
    assert diff(before, after) == ops


def test_a_field_with_a_reducer_is_merged_whole_and_tells_what_its_writer_found() -> None:
    ops = diff({"n": [1], "m": 1}, {"n": [1, 2], "m": 1}, ["n", "m"])
    assert ops == [Op(op="merge", path=["n"], value=[1, 2], base=[1])]


@pytest.mark.parametrize(
    ("state", "op", "after"),
    [
        ({}, at("a", "b"), {"a": {"b": 1}}),
        ({"a": 7}, at("a", "b"), {"a": {"b": 1}}),
        ({"a": {"c": 2}}, at("a", "b"), {"a": {"c": 2, "b": 1}}),
        ({}, at("a", op="remove"), {}),
        ({"a": {"b": 1}}, at("a", "b", op="remove"), {"a": {}}),
        ({}, at("a", op="append", value=[1]), {"a": [1]}),
        ({"a": 7}, at("a", op="append", value=[1]), {"a": [1]}),
        ({"a": [0]}, at("a", op="append", value=[1]), {"a": [0, 1]}),
    ],
)
def test_an_operation_fits_whatever_state_it_meets(state: Any, op: Op, after: Any) -> None:
    assert applied(state, [op]) == after


def test_the_state_before_a_change_stays_as_it_is() -> None:
    before = {"a": {"b": [1]}, "c": 1}
    applied(before, [at("a", "b", op="append", value=[2]), at("c", op="remove")])
    assert before == {"a": {"b": [1]}, "c": 1}


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        (at("a"), at("b"), None),
        (at("a", "b"), at("a", "c"), None),
        (at("a"), at("a"), ["a"]),
        (at("a"), at("a", "b"), ["a", "b"]),
        (at("a", "b"), at("a"), ["a", "b"]),
        (at("a", op="append"), at("a", op="append"), None),
        (at("a", op="append"), at("a"), ["a"]),
        (at("a", op="append"), at("a", "b", op="append"), ["a", "b"]),
    ],
)
def test_changes_clash_where_one_is_inside_the_other(
    one: Op, other: Op, path: list[str] | None
) -> None:
    assert clash(one, [at("z"), other]) == path


@given(OPS, OPS)
def test_a_clash_does_not_depend_on_who_is_first(one: Op, other: Op) -> None:
    assert clash(one, [other]) == clash(other, [one])


@given(OPS, st.lists(OPS, max_size=4))
def test_what_does_not_clash_may_come_in_any_order(one: Op, others: list[Op]) -> None:
    sized = [Op(op=o.op, path=o.path, value=[n]) for n, o in enumerate([one, *others])]
    first, rest = sized[0], sized[1:]
    appends = any(o.op == first.op == "append" and o.path == first.path for o in rest)
    if clash(first, rest) is None and not appends:
        assert applied({}, [first, *rest]) == applied({}, [*rest, first])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (["state", "plan", "steps"], "Ann changed `plan.steps` in the meantime"),
        (["agent_state", "plan"], "Ann changed `agent_state.plan` in the meantime"),
    ],
)
def test_a_refusal_names_the_place_in_the_users_words(path: list[str], said: str) -> None:
    assert str(Refusal("Bob", path, "Ann")) == said


def test_a_refusal_says_what_does_not_fit() -> None:
    said = str(Refusal("Bob", ["state", "n"], "Ann", "too many"))
    assert said == "it does not fit what Ann changed in the meantime: too many"


def state_change(key: str, *path: str, seen: str = "", value: Any = 1) -> Change:
    return Change(key, f"who {key}", [at("state", *path, value=value)], frozenset(seen))


def merged(*changes: Change) -> tuple[Any, dict[str, str]]:
    found = merge({"state": {}, "agent_state": {}}, changes, StateType(None))
    return found.values["state"], {key: each.other for key, each in found.refused.items()}


def test_the_first_of_two_unseen_changes_stays() -> None:
    changes = [state_change("a", "n", value=1), state_change("b", "n", value=2)]
    assert merged(*changes) == ({"n": 1}, {"b": "who a"})


def test_a_writer_may_change_what_it_has_seen() -> None:
    changes = [state_change("a", "n", value=1), state_change("b", "n", seen="a", value=2)]
    assert merged(*changes) == ({"n": 2}, {})


def test_a_change_that_builds_on_a_refused_one_is_refused() -> None:
    changes = [
        state_change("a", "n", value=1),
        state_change("b", "n", value=2),
        state_change("c", "n", seen="ab", value=3),
    ]
    assert merged(*changes) == ({"n": 1}, {"b": "who a", "c": "who b"})


def test_a_refused_change_that_nobody_saw_harms_nobody() -> None:
    changes = [
        state_change("a", "n", value=1),
        state_change("b", "n", value=2),
        state_change("c", "n", seen="a", value=3),
    ]
    assert merged(*changes) == ({"n": 3}, {"b": "who a"})


def test_a_change_is_refused_as_a_whole() -> None:
    both = Change("b", "Bob", [at("state", "m"), at("state", "n")])
    values, refused = merged(state_change("a", "n", value=0), both)
    assert (values, list(refused)) == ({"n": 0}, ["b"])


def test_a_turn_without_changes_is_nobodys_obstacle() -> None:
    assert merged(Change("a", "Ann", []), state_change("b", "n")) == ({"n": 1}, {})


def test_a_hook_may_add_to_what_a_turn_changed() -> None:
    values = Values(StateType(None), {"n": 1, "m": 1}, {"own": 1})
    values.shared = {"n": 2, "m": 1}
    values.own = {"own": 1, "more": 1}
    assert values.changed == {"n": 2}
    assert values.own_changed == {"more": 1}
    assert values.ops(values.changed) == [at("n", value=2)]
    assert values.ops({"n": 2, "m": 5}) == [at("n", value=2), at("m", value=5)]
    assert values.own_ops(values.own_changed) == [at("more")]
    assert values.own_ops({"own": 3}) == [at("own", value=3)]


def test_a_removed_key_is_removed_and_not_only_no_longer_set() -> None:
    values = Values(StateType(None), {"n": 1, "m": 1})
    values.shared = {"m": 1}
    assert values.changed == {}
    assert values.ops({}) == [at("n", op="remove", value=None)]


def test_the_two_states_are_kept_apart() -> None:
    ops = located([at("n")], [at("n", value=2)])
    assert applied({"state": {}, "agent_state": {}}, ops) == {
        "state": {"n": 1},
        "agent_state": {"n": 2},
    }


@given(st.dictionaries(st.text(), st.integers()))
def test_whole_values_of_earlier_releases_give_the_same_state(values: dict[str, int]) -> None:
    assert applied({}, whole(values)) == values
