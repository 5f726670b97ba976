"""A JSON Schema as the fields of a Slack form, and what people entered there. Pure.

Flat objects have a field for each property. Whatever a form cannot show is entered as JSON.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ....runtime.form_text import describe, example
from .slack_json import as_list, as_object

Kind = Literal["text", "number", "integer", "choice", "json"]

_FIELDS: Final = 40
_CHOICES: Final = 100
_HOPS: Final = 8
_ERRORS: Final = 20
_LONGEST_ERROR: Final = 300
_YES_NO: Final = (True, False)
_TYPES: Final[dict[str, Kind]] = {"string": "text", "integer": "integer", "number": "number"}
WRONG: Final = "This cannot be checked: its form is broken. Answer from a terminal."
MISSING: Final[Any] = object()
"""Nothing was entered."""


@dataclass(frozen=True, kw_only=True)
class FormField:
    """One field of a form."""

    name: str
    """The property's name; empty: the field is the whole answer."""
    kind: Kind
    label: str
    hint: str = ""
    required: bool = True
    choices: tuple[Any, ...] = ()
    schema: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Entered:
    """What was entered.

    Attributes:
        answer: The answer; text, or a JSON value.
        errors: What is wrong, by the number of the field; empty if nothing is.
    """

    answer: Any = None
    errors: dict[int, str] = field(default_factory=dict[int, str])


def fields_of(form: dict[str, Any] | None) -> list[FormField]:
    """The fields of a form; only one if the answer is not a flat object."""
    if form is None:
        return [FormField(name="", kind="text", label="Answer")]
    properties = as_object(form.get("properties"))
    if 0 < len(properties) <= _FIELDS and not _has_alternatives(form):
        needed = as_list(form.get("required"))
        found = [_field(form, name, part, needed) for name, part in properties.items()]
        if all(found):
            return [each for each in found if each]
    single = _field(form, "", form, [""])
    return [single or FormField(name="", kind="json", label="Answer, as JSON", hint=_hint(form))]


def entered(
    form: dict[str, Any] | None, fields: list[FormField], typed: list[str | None]
) -> Entered:
    """What was entered, or what is wrong with it.

    Args:
        form: The question's form.
        fields: Its fields.
        typed: What was entered into each: a text, the number of a choice, or nothing.
    """
    errors: dict[int, str] = {}
    values: dict[str, Any] = {}
    for number, (each, text) in enumerate(zip(fields, typed, strict=True)):
        try:
            value = _value(each, text)
        except ValueError as error:
            errors[number] = str(error)
            continue
        if value is not MISSING:
            values[each.name] = value
    if errors:
        return Entered(errors=errors)
    answer = values.get("", "") if fields[0].name == "" else values
    if form is not None:
        errors = _misfits(form, fields, answer)
    return Entered(errors=errors) if errors else Entered(answer=answer)


def _value(each: FormField, text: str | None) -> Any:
    """The value of a field. Raises ValueError, with what to enter instead."""
    if text is None or not text.strip():
        if each.required:
            raise ValueError("Fill this in.")
        return MISSING
    if each.kind == "choice":
        return _chosen(each, text)
    if each.kind in {"integer", "number"}:
        return _number(each.kind, text.strip())
    if each.kind == "json":
        return _json(text)
    return text


def _chosen(each: FormField, text: str) -> Any:
    place = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else _CHOICES  # noqa: PLR2004
    if place >= len(each.choices):
        raise ValueError("Choose one of the list.")
    return each.choices[place]


def _number(kind: Kind, text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        if kind == "integer":
            raise ValueError("Enter a whole number.") from None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("Enter a number.")
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("This is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"This is not JSON: {error}"[:_LONGEST_ERROR]) from None


def _misfits(form: dict[str, Any], fields: list[FormField], answer: Any) -> dict[int, str]:
    """What the schema says about an answer, by the number of the field that it is about."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  slow to load, and seldom needed

    names = [each.name for each in fields]
    found: dict[int, str] = {}
    try:
        for error in Draft202012Validator(form).iter_errors(answer):
            first = next(iter(error.absolute_path), "")
            number = names.index(first) if first in names else 0
            found.setdefault(number, str(error.message)[:_LONGEST_ERROR])
            if len(found) >= _ERRORS:
                break
    except Exception:  # noqa: BLE001  a broken schema may raise anything; no worker accepts it
        return {0: WRONG}
    return found


def _field(form: dict[str, Any], name: str, part: Any, needed: list[Any]) -> FormField | None:
    """The field for a part of a form; None: a form has none for it."""
    schema, nullable = _without_null(_resolved(form, part))
    schema = _resolved(form, schema)
    found = _kind_of(schema)
    if found is None:
        return None
    kind, choices = found
    described = schema.get("description")
    return FormField(
        name=name,
        kind=kind,
        label=str(schema.get("title") or name or "Answer"),
        hint=described if isinstance(described, str) else "",
        required=name in needed and not nullable,
        choices=choices,
        schema=schema,
    )


def _kind_of(schema: dict[str, Any]) -> tuple[Kind, tuple[Any, ...]] | None:
    """The kind of a field, and what can be chosen there."""
    if _has_alternatives(schema):
        return None
    listed = [schema["const"]] if "const" in schema else as_list(schema.get("enum"))
    if listed:
        return ("choice", tuple(listed)) if len(listed) <= _CHOICES else None
    named = schema.get("type")
    if named == "boolean":
        return "choice", _YES_NO
    kind = _TYPES.get(named) if isinstance(named, str) else None
    return (kind, ()) if kind else None


def _has_alternatives(schema: dict[str, Any]) -> bool:
    return any(word in schema for word in ("anyOf", "oneOf", "allOf", "if", "not"))


def _resolved(form: dict[str, Any], part: Any) -> dict[str, Any]:
    """A part of a form with its references into `$defs` followed."""
    schema = as_object(part)
    for _ in range(_HOPS):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        target = as_object(form.get("$defs")).get(reference.removeprefix("#/$defs/"))
        schema = {**as_object(target), **beside}
    return {}


def _without_null(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A schema without its alternative null, and whether it had one."""
    several = as_list(schema.get("anyOf"))
    left = [each for each in several if each != {"type": "null"}]
    if len(left) != 1 or len(left) == len(several):
        return schema, False
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**as_object(left[0]), **rest}, True


def _hint(form: dict[str, Any]) -> str:
    try:
        return f"{'; '.join(describe(form))}. For example: {example(form)}"
    except Exception:  # noqa: BLE001  the schema may be anything
        return ""
