"""Answers that must have a form: a type of the asker's, a JSON Schema for everybody else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from .errors import InvalidSetup
from .form_text import describe, example
from .values import BadValue

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


_LONGEST = 2_000
"""Characters of a refusal."""
_DEEPEST = 32
"""Levels of a JSON answer: a check takes some calls for each, wherever it is made."""
_UNCHECKED = (RecursionError, ArithmeticError, ValueError)
"""What a validator raises of an answer that it cannot check."""


def _validator(form: dict[str, Any]) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  slow to load, and seldom needed

    return Draft202012Validator(form)


def schema_of(wanted: Any) -> dict[str, Any]:
    """The JSON Schema of a type. Raises InvalidSetup for a type that has none."""
    from pydantic import TypeAdapter  # noqa: PLC0415  slow to load, and seldom needed
    from pydantic.errors import PydanticUserError  # noqa: PLC0415

    try:
        return TypeAdapter(wanted).json_schema()
    except PydanticUserError as error:
        raise InvalidSetup(f"no answer can have the type {wanted!r}: {error}") from None


def _candidates(text: str) -> list[Any]:
    """What a text may mean: the JSON it spells, then the text itself, then its lower case."""
    found: list[Any] = []
    with suppress(ValueError, RecursionError):
        found.append(json.loads(text))
    lowered = text.strip().lower()
    if lowered in _WORDS:
        found.append(_WORDS[lowered])
    return [*found, text]


_WORDS = {"yes": True, "no": False, "true": True, "false": False}


def fit(text: str, form: dict[str, Any]) -> str:
    """Why an answer does not satisfy `form`; empty when it does."""
    wrong = "the answer cannot be checked: it is nested too deep, or a number is no usual one"
    try:
        # What is accepted here must be read again inside the body, where less of the stack is left.
        return wrong if _is_deep(_candidates(text)[0]) else _misfit(text, form)
    except _UNCHECKED:  # or nobody could answer any more
        return wrong


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _held(each)]
    return bool(level)


def _held(value: Any) -> Iterable[Any]:
    """What is one level down in a JSON value."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("Iterable[Any]", value) if isinstance(value, list) else ()


def _misfit(text: str, form: dict[str, Any]) -> str:
    validator = _validator(form)
    for candidate in _candidates(text):
        if validator.is_valid(candidate):
            return ""
    from jsonschema import exceptions  # noqa: PLC0415

    errors = validator.iter_errors(_candidates(text)[0])
    best = cast("Any", exceptions.best_match(errors))  # its types leave some open
    if best is None:
        return "the answer does not have the form that was asked for"
    if "description" in form:  # the asker's own words are better than a schema's
        wrong = f"the answer cannot be understood for sure: {form['description']}"[:500]
        if "anyOf" in form:
            return wrong
    else:
        where = ".".join(str(part) for part in best.absolute_path)
        prefix = f"{where}: " if where else ""
        wrong = "the answer does not have the form that was asked for: "
        wrong = f"{wrong}{prefix}{best.message}"[:500]
    fields = "; ".join(describe(form))
    return f"{wrong}. Wanted: {fields}. For example: {example(form)}"[:_LONGEST]


def answer_value(text: str, wanted: Any) -> Any:
    """An accepted answer as the type that was asked for. Raises BadValue when it is none."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    adapter: TypeAdapter[Any] = TypeAdapter(wanted)
    validator = _validator(adapter.json_schema())
    for candidate in _candidates(text):
        with suppress(ValidationError, *_UNCHECKED):
            if validator.is_valid(candidate):
                return adapter.validate_python(candidate)
    raise BadValue(f"the answer {text[:200]!r} is no {wanted!r}")
