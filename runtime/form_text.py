"""A form as people read it: its fields with types and choices, and an example answer.

Forms come from the log and may be anything: a part that is not understood becomes `any value`.
"""

from __future__ import annotations

import json
from typing import Any, cast

_DEEP = 4
_CHOICES = 12
_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "yes or no",
    "null": "null",
}
_EXAMPLES: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
}


def choices(form: dict[str, Any] | None) -> list[Any]:
    """The possible answers, if the form allows only a few; else an empty list."""
    if form is None:
        return []
    found = _choices(form)
    if not found and form.get("type") == "boolean":
        return ["yes", "no"]
    return found if len(found) <= _CHOICES else []


def describe(form: dict[str, Any]) -> list[str]:
    """What an answer must be, one line for each field."""
    fields = _fields(form)
    if not fields:
        return [f"answer: {_kind(form, form, 0)}"]
    return [
        f"{name}{'' if name in _required(form) else ' (may be left out)'}: {_kind(form, field, 0)}"
        for name, field in fields.items()
    ]


def example(form: dict[str, Any]) -> str:
    """An example answer that can be pasted: a plain word, or JSON."""
    value = _example(form, form, 0)
    if value is True:
        return "yes"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _fields(schema: dict[str, Any]) -> dict[str, Any]:
    return _object(schema.get("properties"))


def _required(schema: dict[str, Any]) -> list[str]:
    return [each for each in _list(schema.get("required")) if isinstance(each, str)]


def _choices(schema: dict[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else _list(schema.get("enum"))


def _resolved(form: dict[str, Any], schema: Any) -> dict[str, Any]:
    """The schema itself, or the definition that it refers to."""
    found = _object(schema)
    reference = found.get("$ref")
    if isinstance(reference, str):
        definitions = _object(form.get("$defs"))
        return _object(definitions.get(reference.removeprefix("#/$defs/")))
    return found


def _kind(form: dict[str, Any], schema: Any, depth: int) -> str:
    """What a value must be, in a few words."""
    found = _resolved(form, schema)
    text = _object(schema).get("description") or found.get("description")
    kind = _plain_kind(form, found, depth)
    return f"{kind} - {' '.join(text.split())}" if isinstance(text, str) and depth == 0 else kind


def _plain_kind(form: dict[str, Any], found: dict[str, Any], depth: int) -> str:
    if depth > _DEEP:
        return "any value"
    if some := _choices(found):
        words = [each if isinstance(each, str) else json.dumps(each) for each in some]
        return " | ".join(words)
    if several := _list(found.get("anyOf")) or _list(found.get("oneOf")):
        return " or ".join(_kind(form, each, depth + 1) for each in several)
    if fields := _fields(found):
        inner = (f"{name}: {_kind(form, field, depth + 1)}" for name, field in fields.items())
        return f"object {{{', '.join(inner)}}}"
    if found.get("type") == "array":
        return f"list of {_kind(form, found.get('items'), depth + 1)}"
    return _WORDS.get(str(found.get("type")), "object" if "type" in found else "any value")


def _example(form: dict[str, Any], schema: Any, depth: int) -> Any:
    found = _resolved(form, schema)
    if depth > _DEEP:
        return None
    some = _list(found.get("examples")) or _choices(found)
    if some or "default" in found:
        return some[0] if some else found["default"]
    if several := _list(found.get("anyOf")) or _list(found.get("oneOf")):
        return _example(form, several[0], depth + 1)
    if found.get("type") == "object" or _fields(found):
        wanted = _required(found) or list(_fields(found))
        fields = _fields(found)
        return {name: _example(form, fields.get(name), depth + 1) for name in wanted}
    if found.get("type") == "array":
        return [_example(form, found.get("items"), depth + 1)]
    return found.get("minimum", _EXAMPLES.get(str(found.get("type")), "text"))
