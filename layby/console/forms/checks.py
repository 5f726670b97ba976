"""What is wrong with a value, in words for the person who typed it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

_LONGEST: Final = 200
_DURATION: Final = re.compile(
    r"[-+]?P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)"
)


def problems(schema: dict[str, Any], value: Any) -> list[tuple[list[Any], str]]:
    """What is wrong with a value: where in it, and what; empty when nothing is."""
    from jsonschema import Draft202012Validator, FormatChecker  # noqa: PLC0415  slow to load

    checker = FormatChecker(formats=("uuid", "ipv4", "ipv6", "email"))
    try:
        errors: list[Any] = list(
            Draft202012Validator(schema, format_checker=checker).iter_errors(value)
        )
    except Exception:  # noqa: BLE001  a schema from a log may be anything
        return [([], "This cannot be checked: its schema is broken, or it is too deep")]
    found = [(list(error.absolute_path), _words(error)) for error in errors]
    return [*found, *_durations(schema, value)]


def _durations(schema: dict[str, Any], value: Any) -> Iterator[tuple[list[Any], str]]:
    is_one = schema.get("format") == "duration" and isinstance(value, str)
    if is_one and not _DURATION.fullmatch(value):
        yield [], "Must be a duration, like PT1H30M"


def _words(error: Any) -> str:
    """One sentence for a problem."""
    limit: Any = error.validator_value
    say = _WORDS.get(cast("str", error.validator))
    if say is not None and isinstance(limit, int | float | str):
        return say.format(limit if not isinstance(limit, str) else limit[:_LONGEST], _s(limit))
    if error.validator == "required":
        names = [str(name) for name in cast("list[Any]", limit) if name not in error.instance]
        return f"{', '.join(names)} is missing"[:_LONGEST]
    return _PLAIN.get(cast("str", error.validator), str(error.message)[:_LONGEST])


def _s(limit: Any) -> str:
    return "" if limit == 1 else "s"


_WORDS: Final = {
    "minimum": "Must be {0} or more",
    "maximum": "Must be {0} or less",
    "exclusiveMinimum": "Must be more than {0}",
    "exclusiveMaximum": "Must be less than {0}",
    "multipleOf": "Must be a multiple of {0}",
    "minLength": "Needs {0} character{1} or more",
    "maxLength": "Has more than {0} character{1}",
    "pattern": "Must match {0}",
    "minItems": "Needs {0} item{1} or more",
    "maxItems": "Has more than {0} item{1}",
    "format": "Is not a valid {0}",
}
_PLAIN: Final = {
    "enum": "Choose one",
    "uniqueItems": "Each may be there once only",
    "additionalProperties": "Has a part that is not wanted",
    "anyOf": "Does not have any of the forms that are wanted",
    "oneOf": "Does not have exactly one of the forms that are wanted",
}
