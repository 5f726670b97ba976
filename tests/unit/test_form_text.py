"""Forms described in words, and examples that fit them."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from layby.runtime.form_text import choices, describe, example
from layby.runtime.forms import fit, schema_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    name: str
    count: int = Field(ge=3, description="How many\nof them")


class Order(BaseModel):
    items: list[Item]
    colour: Colour
    urgent: bool = False
    note: str | None = None


class Tree(BaseModel):
    name: str
    parts: list[Tree] = []


@pytest.mark.parametrize(
    "wanted",
    [bool, int, float, Literal["a", "b"], Colour, Item, Order, list[int], dict[str, int], Tree],
)
def test_the_example_fits_its_form(wanted: Any) -> None:
    form = schema_of(wanted)
    assert fit(example(form), form) == ""


def test_fields_are_described_with_types_and_choices() -> None:
    assert describe(schema_of(Order)) == [
        "items: list of object {name: text, count: whole number}",
        "colour: red | blue",
        "urgent (may be left out): yes or no",
        "note (may be left out): text or null",
    ]
    assert describe(schema_of(Item))[1] == "count: whole number - How many of them"
    assert describe(schema_of(bool)) == ["answer: yes or no"]


def test_few_choices_are_listed() -> None:
    assert choices(schema_of(bool)) == ["yes", "no"]
    assert choices(schema_of(Colour)) == ["red", "blue"]
    assert choices(schema_of(int)) == []
    assert choices(None) == []


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("#/$defs/a"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "required", "$ref", "$defs", "a", "anyOf", "enum", "items"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def test_a_form_with_a_required_field_that_is_not_a_name_is_described() -> None:
    form: dict[str, Any] = {"properties": {"kind": {}}, "required": [[], "kind"]}
    assert example(form) == '{"kind": "text"}'


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "type",
                "properties",
                "$defs",
                "a",
                "anyOf",
                "enum",
                "items",
                "$ref",
                "description",
                "required",
            ]
        ),
        odd,
    )
)
def test_any_form_in_a_log_is_described(form: dict[str, Any]) -> None:
    assert all(isinstance(line, str) for line in describe(form))
    assert isinstance(example(form), str)
    assert isinstance(choices(form), list)
