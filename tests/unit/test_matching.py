"""Which event a wait matches: paths to fields, and which values are equal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.runtime.matching import canonical, event_of, field, fields, matches

EQUAL: list[tuple[Any, Any]] = [
    (42, "42"),
    (-7, "-7"),
    (0, "0"),
    (42, 42.0),
    ("42", 42.0),
    (2**70, str(2**70)),
    ("x", "x"),
    (None, None),
    (True, True),
    (4.5, 4.5),
    ([1, {"a": 2}], [1, {"a": 2}]),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (42, "042"),
    (42, "42.0"),
    (42, " 42"),
    (42, "+42"),
    (42, "4_2"),
    (42, "٤٢"),
    (1e3, "1e3"),
    (4.5, "4.5"),
    (1, True),
    (0, False),
    ("1", True),
    ("true", True),
    ("null", None),
    (None, False),
    ("", None),
    ([1], ["1"]),
    ({"a": 1}, {"a": "1"}),
    ("x", "X"),
    ("e\u0301", "\u00e9"),
]


def data(**event: Any) -> bytes:
    return json.dumps(event).encode()


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=repr)
def test_these_values_are_equal(one: Any, other: Any) -> None:
    assert matches(data(ticket=one), {"ticket": other})
    assert matches(data(ticket=other), {"ticket": one})


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=repr)
def test_these_values_are_not_equal(one: Any, other: Any) -> None:
    assert not matches(data(ticket=one), {"ticket": other})
    assert not matches(data(ticket=other), {"ticket": one})


@pytest.mark.parametrize(
    ("event", "path", "found"),
    [
        ({"a": 1}, "a", 1),
        ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"a": {"b": None}}, "a.b", None),
        ({"a.b": 1}, "a.b", 1),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": {"b.c": 1}}, "a.b.c", 1),
        ({"": 1}, "", 1),
    ],
)
def test_a_path_finds_a_field(event: dict[str, Any], path: str, found: Any) -> None:
    assert field(event, path, "missing") == found


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({}, "a"),
        ({"a": 1}, "a.b"),
        ({"a": [{"b": 1}]}, "a.b"),
        ({"a": ["x"]}, "a.0"),
        ({"a": None}, "a.b"),
        ({"a.b": {"c": 1}}, "a.b.c"),
        ({"a": {}}, "a."),
        ({"a": {"b": 1}}, ".a.b"),
    ],
)
def test_a_path_to_nothing_finds_nothing(event: dict[str, Any], path: str) -> None:
    assert field(event, path, "missing") == "missing"
    assert fields(event, [path]) is None
    assert not matches(json.dumps(event).encode(), {path: None})


@pytest.mark.parametrize("body", [b"", b"7", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":1'])
def test_what_is_not_an_object_matches_nothing(body: bytes) -> None:
    assert event_of(body) is None
    assert not matches(body, {})


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["list", "object"]
)
def test_a_value_from_outside_does_not_exhaust_the_stack(opening: str, closing: str) -> None:
    for depth in range(300, 1_000):
        event = f'{{"ticket":{opening * depth}7{closing * depth}}}'
        assert not matches(event.encode(), {"ticket": 7})


numbers = st.floats(allow_nan=False, allow_infinity=False)
json_st = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(json_st, json_st)
def test_equal_matches_have_the_same_key(one: Any, other: Any) -> None:
    """The bucket is looked up by key, and the stream is read with `matches`: they agree."""
    same_key = canonical({"a": one}) == canonical({"a": other})
    assert matches(json.dumps({"a": one}).encode(), {"a": other}) == same_key
