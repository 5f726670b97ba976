"""JSON from others, which may be anything: a field of another type counts as empty. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def as_object(value: Any) -> dict[str, Any]:
    """The value if it is an object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def object_of(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A field that should be an object."""
    return as_object(found.get(key))


def objects_of(found: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects of a field that should be a list of objects."""
    return [as_object(each) for each in as_list(found.get(key)) if isinstance(each, dict)]


def text_of(found: Mapping[str, Any], key: str) -> str:
    """A field that should be text."""
    value = found.get(key)
    return value if isinstance(value, str) else ""
