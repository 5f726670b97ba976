"""Forms from schemas: what is drawn, what is refused and where, and that no schema breaks one."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from layby.console.forms.diff import diff, value_diff
from layby.console.forms.form import Form, answer_text, posted
from layby.runtime.forms import fit


class Node(BaseModel):
    name: str
    inside: list[Node] = []
    next: Node | None = None


def schema_of(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def errors(schema: dict[str, Any], **texts: str) -> dict[str, str]:
    return Form(schema).read(posted(texts.items())).errors


def test_a_problem_is_shown_next_to_its_field_and_the_input_stays() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0}, "day": {"format": "date",
                       "type": "string"}},
        "required": ["n", "day"],
    }  # fmt: skip
    typed = posted([("f/n", "-4"), ("f/day", "soon")])
    form = Form(schema)
    entered = form.read(typed)
    assert entered.errors == {
        "f/n": "Must be 0 or more",
        "f/day": "Must be a date, like 2026-12-01",
    }
    n, day = form.drawn(typed, entered.errors).fields
    assert (n.text, n.error) == ("-4", "Must be 0 or more")
    assert (day.text, day.kind) == ("soon", "text")  # a browser's own field would lose it


@pytest.mark.parametrize("text", ["1e999", "NaN", "Infinity", "0x10", "1_000", "--1", "1,5"])
def test_a_number_that_is_not_json_is_refused(text: str) -> None:
    assert errors({"type": "number"}, f=text) == {"f": "Must be a number"}


def test_nothing_is_decided_before_a_person_decides_it() -> None:
    assert errors({"type": "boolean"}) == {"f": "Fill this in"}
    assert not any(choice.chosen for choice in Form({"type": "boolean"}).fresh().choices)
    assert errors(schema_of(Literal["a", "b"]), f='"c"') == {"f": "Choose one"}


def test_a_recursive_form_is_drawn_as_far_as_it_is_filled() -> None:
    form = Form(schema_of(Node))
    name, inside, following = form.fresh().fields
    assert (name.kind, inside.kind, inside.fields, following.closed) == ("long", "list", (), True)
    one = Node(name="a", inside=[Node(name="b")]).model_dump()
    assert form.filled(one).fields[1].fields[0].fields[0].text == "b"
    typed = posted([("f/name", "a"), ("_add", "f/next!on")])
    assert form.changed(typed) == "f/next"
    assert [each.label for each in form.drawn(typed).fields[2].fields] == ["Name", "Inside", "Next"]


def test_rows_are_added_and_removed_by_buttons() -> None:
    form = Form({"type": "array", "items": {"type": "integer"}})
    typed = posted([("f!row", "0"), ("f/0", "7"), ("_add", "f")])
    assert form.changed(typed) == "f/1"
    assert typed.rows("f") == ["0", "1"]
    typed.put("f/1", "8")
    assert form.read(typed).value == [7, 8]
    typed.put("_remove", "f/0")
    form.changed(typed)
    assert form.read(typed).value == [8]


@pytest.mark.parametrize(
    ("value", "schema", "text"),
    [
        ("yes", {"type": "string"}, '"yes"'),
        ("12", {"anyOf": [{"type": "integer"}, {"type": "string"}]}, '"12"'),
        ("plain", {"type": "string"}, "plain"),
        (" spaced ", {"type": "string"}, '" spaced "'),
        (True, {"type": "boolean"}, "yes"),
    ],
)
def test_an_answer_is_plain_text_where_a_worker_reads_it_as_that(
    value: Any, schema: dict[str, Any], text: str
) -> None:
    assert answer_text(value, schema) == text
    assert fit(text, schema) == ""


_PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("#/$defs/A"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "properties", "items", "anyOf", "enum", "const", "$ref", "$defs", "A",
             "required", "pattern", "minimum", "format", "title", "default", "allOf"]
        ),
        inner | st.sampled_from(["object", "array", "string", "null", "date", "["]),
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(_PARTS, st.lists(st.tuples(st.sampled_from(["f", "f!row", "f/0", "f!is", "f!on", "f!as"]),
                                  st.text(max_size=5))))  # fmt: skip
def test_no_schema_and_nothing_posted_breaks_a_form(
    schema: Any, pairs: list[tuple[str, str]]
) -> None:
    form = Form(schema)
    form.fresh()
    typed = posted(pairs)
    entered = form.read(typed)
    form.drawn(typed, entered.errors)
    form.filled({"a": [1, "b", None]})


def test_a_diff_shows_what_changed_and_hides_nothing() -> None:
    lines = diff("one\ntwo\nthree", "one\n2\u202e\nthree")
    assert [line.kind for line in lines] == ["same", "old", "new", "same"]
    assert "\\u202e" in lines[2].text
    assert diff("same", "same") == []
    assert [line.text for line in value_diff({"a": 1}, {"a": 2}) if line.kind != "same"] == [
        '  "a": 1',
        '  "a": 2',
    ]
