"""A value fills its form, and the form posted back is the same value."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from layby.console.forms.field import Field
from layby.console.forms.form import Form, answer_text, posted
from layby.console.pages.shell import templates
from layby.runtime.forms import fit
from tests.examples import examples

NAMES = st.sampled_from(["name", "fixed_on", "a/b", "x!none", "a~b", "sp ace", "0", "__proto__"])
_SIMPLE = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


class Browser(HTMLParser):
    """What a browser posts for a form that nobody touches."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pairs: list[tuple[str, str]] = []
        self._area: str | None = None
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        kind = found.get("type", "text")
        if tag == "input" and (kind not in {"checkbox", "radio"} or "checked" in found):
            self.pairs.append((found["name"], _lines(found.get("value", ""))))
        elif tag == "textarea":
            self._area, self._text = found["name"], ""
        elif tag == "select":
            self._select, self._options = found["name"], []
        elif tag == "option":
            self._options.append((found["value"], "selected" in found))

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area is not None:
            text = self._text.removeprefix("\n")  # as the HTML parser does
            self.pairs.append((self._area, text.replace("\n", "\r\n")))
            self._area = None
        elif tag == "select" and self._select is not None:
            chosen = [value for value, selected in self._options if selected]
            self.pairs.append((self._select, chosen[-1] if chosen else self._options[0][0]))
            self._select = None


def _lines(value: str) -> str:
    """A field of one line loses line ends."""
    return value.replace("\r", "").replace("\n", "")


def html(field: Field) -> str:
    module: Any = templates.get_template("forms.html").module
    return str(module.fields(field))


def pairs(field: Field) -> list[tuple[str, str]]:
    browser = Browser()
    browser.feed(html(field))
    browser.close()
    return browser.pairs


Drawn = tuple[dict[str, Any], st.SearchStrategy[Any]]
PLAIN: list[Drawn] = [
    ({"type": "boolean"}, st.booleans()),
    ({"type": "string"}, TEXTS),
    ({"type": "string", "maxLength": 5}, st.text(max_size=5)),
    ({"type": "number"}, st.floats(allow_nan=False, allow_infinity=False) | st.integers()),
    ({"type": "string", "format": "date"}, st.dates().map(str)),
    ({"type": "string", "format": "time"}, st.times().map(lambda t: t.isoformat())),
    (
        {"type": "string", "format": "date-time"},
        st.datetimes().map(lambda d: f"{d.isoformat()}Z") | st.datetimes().map(str),
    ),
    (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        st.dictionaries(TEXTS, st.integers(), max_size=3),
    ),
]


@st.composite
def schemas(draw: DrawFn, depth: int = 0) -> Drawn:
    """A schema, and a strategy for its valid values."""
    makers: list[Any] = [_plain, _plain, _enum, _const, _integer]
    if depth < 3:
        makers += [_nullable, _array, _many, _union, _objects, _objects]
    drawn: Drawn = draw(draw(st.sampled_from(makers))(depth))
    return drawn


@st.composite
def _plain(draw: DrawFn, _: int) -> Drawn:
    return draw(st.sampled_from(PLAIN))


@st.composite
def _enum(draw: DrawFn, _: int) -> Drawn:
    some = draw(st.lists(_SIMPLE, min_size=1, max_size=4, unique_by=json.dumps))
    return {"enum": some}, st.sampled_from(some)


@st.composite
def _const(draw: DrawFn, _: int) -> Drawn:
    value = draw(_SIMPLE)
    return {"const": value}, st.just(value)


@st.composite
def _integer(draw: DrawFn, _: int) -> Drawn:
    low, high = sorted(draw(st.tuples(st.integers(), st.integers())))
    return {"type": "integer", "minimum": low, "maximum": high}, st.integers(low, high)


@st.composite
def _nullable(draw: DrawFn, depth: int) -> Drawn:
    schema, values = draw(schemas(depth + 1))
    return {"anyOf": [schema, {"type": "null"}]}, st.none() | values


@st.composite
def _array(draw: DrawFn, depth: int) -> Drawn:
    schema, values = draw(schemas(depth + 1))
    return {"type": "array", "items": schema}, st.lists(values, max_size=3)


@st.composite
def _many(draw: DrawFn, _: int) -> Drawn:
    some = draw(st.lists(st.text(max_size=3), min_size=1, max_size=4, unique=True))
    chosen = st.sets(st.sampled_from(some)).map(lambda s: [each for each in some if each in s])
    return {"type": "array", "items": {"enum": some}, "uniqueItems": True}, chosen


@st.composite
def _union(draw: DrawFn, depth: int) -> Drawn:
    parts = draw(st.lists(schemas(depth + 1), min_size=2, max_size=3))
    return {"anyOf": [part for part, _ in parts]}, st.one_of(*(each for _, each in parts))


@st.composite
def _objects(draw: DrawFn, depth: int) -> Drawn:
    parts = draw(st.dictionaries(NAMES, schemas(depth + 1), min_size=1, max_size=4))
    required = [name for name in parts if draw(st.booleans())]
    schema = {
        "type": "object",
        "properties": {name: part for name, (part, _) in parts.items()},
        "required": required,
    }
    values = st.fixed_dictionaries(
        {name: parts[name][1] for name in required},
        optional={name: values for name, (_, values) in parts.items() if name not in required},
    )
    return schema, values


_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@given(st.data())
@settings(max_examples=examples(400), deadline=None, suppress_health_check=_SLOW)
def test_a_value_fills_its_form_and_comes_back_from_it(data: st.DataObject) -> None:
    schema, values = data.draw(schemas())
    value = data.draw(values)
    form = Form(schema)
    entered = form.read(posted(pairs(form.filled(value))))
    assert entered.errors == {}
    assert json.dumps(entered.value, sort_keys=True) == json.dumps(value, sort_keys=True)
    assert fit(answer_text(value, schema), schema) == ""
