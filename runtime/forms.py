"""Answers that must have a form: a Python type for the asker, a JSON Schema for everyone else."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from .errors import InvalidSetup
from .form_text import describe, example
from .meanings import candidates
from .values import BadValue

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


_LONGEST = 2_000
"""Characters of a refusal."""
_DEEPEST = 32
"""Levels of a JSON answer: each level costs a check several nested calls."""
_UNCHECKED = (RecursionError, ArithmeticError, ValueError)
"""What a validator raises for an answer that it cannot check."""


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
        raise InvalidSetup(f"{wanted!r} cannot be the type of an answer: {error}") from None


def fit(text: str, form: dict[str, Any]) -> str:
    """Why an answer does not satisfy `form`; empty when it does."""
    wrong = "the answer cannot be checked: it is nested too deeply, or a number is too large"
    try:
        # An accepted answer is read again inside the body, where less of the stack is left.
        return wrong if _is_deep(candidates(text)[0]) else _misfit(text, form)
    except _UNCHECKED:  # a hostile answer must not stop the others
        return wrong


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _children(each)]
    return bool(level)


def _children(value: Any) -> Iterable[Any]:
    """What is one level down in a JSON value."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("Iterable[Any]", value) if isinstance(value, list) else ()


def _misfit(text: str, form: dict[str, Any]) -> str:
    validator = _validator(form)
    for candidate in candidates(text):
        if validator.is_valid(candidate):
            return ""
    from jsonschema import exceptions  # noqa: PLC0415

    errors = validator.iter_errors(candidates(text)[0])
    best = cast("Any", exceptions.best_match(errors))  # its types are incomplete
    if best is None:
        return "the answer does not have the form that was asked for"
    if "description" in form:  # the asker's words are clearer than the schema's
        wrong = f"the answer is not clear: {form['description']}"[:500]
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
    """An accepted answer as the type that was asked for. Raises BadValue if it does not fit."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    adapter: TypeAdapter[Any] = TypeAdapter(wanted)
    validator = _validator(adapter.json_schema())
    for candidate in candidates(text):
        with suppress(ValidationError, *_UNCHECKED):
            if validator.is_valid(candidate):
                return adapter.validate_python(candidate)
    raise BadValue(f"the answer {text[:200]!r} is not a {wanted!r}")
