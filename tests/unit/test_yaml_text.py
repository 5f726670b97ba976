from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from layby.cli.screen.yaml_text import as_yaml

texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


@given(values)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert yaml.safe_load(as_yaml(value)) == value


@pytest.mark.parametrize("length", [1_022, 1_023, 1_024, 1_025, 3_000])
@pytest.mark.parametrize("inner", ["b", {"c": ["d"]}, [], [{"e": 1}, "f"]])
def test_a_key_may_have_any_length(length: int, inner: Any) -> None:
    key = " " * length
    value = {"a": {key: inner, "b": "c"}}
    assert yaml.safe_load(as_yaml(value)) == value
    assert yaml.safe_load(as_yaml([value, value])) == [value, value]


@pytest.mark.parametrize("word", ["no", "On", "y", "NULL", "true", "1", "1e3", "0x1f", "", "~"])
def test_a_text_that_looks_like_something_else_stays_a_text(word: str) -> None:
    assert yaml.safe_load(as_yaml({"name": word})) == {"name": word}


@pytest.mark.parametrize("text", ["a: b", "a #b", "- a", "{{ .Values.x }}", "a\nb: c", "a:"])
def test_a_text_cannot_become_structure(text: str) -> None:
    assert yaml.safe_load(as_yaml({"a": [text], text: 1})) == {"a": [text], text: 1}


def test_it_reads_as_people_write_it() -> None:
    value: Any = {"a": {"b": [{"c": "d", "e": ["f"]}, "g"], "h": {}, "i": []}, "lag": "50"}
    assert as_yaml(value) == (
        'a:\n  b:\n    - c: d\n      e:\n        - f\n    - g\n  h: {}\n  i: []\nlag: "50"\n'
    )
