"""What changed between two values, line by line."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from layby.console.waterfall.diff import diff, json_lines

lines = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(lines, lines)
def test_old_and_new_lines_give_both_texts(before: list[str], after: list[str]) -> None:
    found = diff(before, after)
    if not any(line.kind == "cut" for line in found):
        assert [line.text for line in found if line.kind != "new"] == before
        assert [line.text for line in found if line.kind != "old"] == after


@given(values)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert {line.kind for line in diff(json_lines(value), json_lines(value))} <= {"same", "cut"}


def test_lines_far_from_a_change_are_left_out() -> None:
    before = [str(number) for number in range(100)]
    found = diff(before, [*before[:50], "new", *before[51:]])
    assert [line.text for line in found if line.kind == "old"] == ["50"]
    assert [line.text for line in found if line.kind == "new"] == ["new"]
    assert [line.text for line in found if line.kind == "cut"] == [
        "47 lines are the same",
        "46 lines are the same",
    ]


def test_keys_are_sorted_so_that_their_order_is_not_a_change() -> None:
    assert json_lines({"b": 1, "a": 2}) == json_lines({"a": 2, "b": 1})
