"""Writes plain values as YAML, the form in which Kubernetes and Helm take them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeGuard

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]*[A-Za-z0-9_/]|[A-Za-z]")
"""Texts that YAML reads back as they are, other than the words below."""
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Texts that YAML 1.1, which Kubernetes reads, takes for something else."""

_MARKS: Final = frozenset('"\\')
_WIDE: Final = 0x10000
_LONGEST_KEY: Final = 1_024
"""Characters of a key that needs no question mark before it (YAML 1.2.2, 7.4.2)."""


def as_yaml(value: Any) -> str:
    """The YAML of a value made of mappings with text keys, lists, texts, numbers and booleans."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    if value and _is_mapping(value):
        for key, inner in value.items():
            name = _scalar(key)
            if len(name) > _LONGEST_KEY:
                yield f"? {name}"
                name = ""
            yield from _entry(f"{name}:", inner)
    elif value and _is_list(value):
        for inner in value:
            first, *rest = _lines(inner)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _is_mapping(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _entry(key: str, value: Any) -> Iterator[str]:
    if value and isinstance(value, (dict, list)):
        yield key
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{key} {_scalar(value)}"


def _scalar(value: Any) -> str:
    """In quotes unless it is sure to be read back as it is."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(char: str) -> str:
    if char in _MARKS:
        return f"\\{char}"
    if " " <= char <= "~":
        return char
    return f"\\u{ord(char):04x}" if ord(char) < _WIDE else f"\\U{ord(char):08x}"
